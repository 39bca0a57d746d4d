"""Kept runs in virtual time, killed, without power, on full disks, with flipped bits: from a seed.

    python -m tests.journal.simulate --seeds 10000
    python -m tests.journal.simulate --seed 417

A seed decides the run, its faults and the scheduling (trio, `MockClock`). After each run: exactly
one final trajectory for each task and repeat, each as in a run that met no fault; what sinks were
shown is what the directory has; the directory is sound; no turn is paid for twice where `flush` is
0; no handle is left open.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import anyio
from trio.testing import MockClock

from nexau.actors._backend import run
from nexau.journal.durability import Durability
from nexau.journal.overview import verify
from nexau.journal.testing import MemoryFiles
from tests.journal.played import ROOT, Played, outline

HOUR = 3600.0
_wanted: dict[tuple[int, int], dict[str, Any]] = {}
"""What comes out without faults, by retries and repeats: it follows from the tasks alone."""
TASKS = 4


async def wanted(repeat: int, retries: int) -> dict[str, Any]:
    """By id of the trajectory."""
    known = _wanted.get((retries, repeat))
    if known is None:
        whole = Played(0, MemoryFiles(), tasks=TASKS, repeat=repeat, retries=retries)
        assert await whole.process()
        known = {outline(each)[0]: outline(each) for each in whole.trajectories()}
        _wanted[retries, repeat] = known
    return known


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.problems: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.flush = chance.choice((0.0, 0.02, 0.2))
        self.sync = chance.choice((0.0, 0.1, 1.0))
        self.tasks = chance.randint(1, TASKS)
        self.played = Played(
            seed,
            MemoryFiles(),
            tasks=self.tasks,
            repeat=chance.choice((1, 2)),
            retries=chance.choice((0, 1)),
            concurrency=chance.randint(1, 4),
            durability=Durability(self.flush, self.sync),
            segment=chance.choice((2000, 1 << 20)),
        )
        if chance.random() < 0.5:
            self.played.files.tear = random.Random(seed)

    async def play(self) -> None:
        with anyio.move_on_after(HOUR) as hour:
            for _ in range(self.chance.randint(1, 3)):
                await self._life()
            self.played.files.restart()
            if not await self.played.process():
                self.problems.append("the last process did not end")
        if hour.cancelled_caught:
            self.problems.append("still runs after an hour")
        self._check(await wanted(self.played.repeat, self.played.retries))

    async def _life(self) -> None:
        """One process, to its death."""
        played, chance = self.played, self.chance
        played.files.restart()
        after = chance.random() * 2
        power = chance.random() < 0.3
        self.kinds["loss of power" if power else "kill"] += 1
        async with anyio.create_task_group() as group:
            if chance.random() < 0.3:
                self.kinds["full disk"] += 1
                group.start_soon(self._fill, chance.random(), chance.random())
            await played.process(kill_after=after, power=chance if power else None)
            group.cancel_scope.cancel()
        played.files.capacity = None
        if chance.random() < 0.2:
            self._flip()

    async def _fill(self, after: float, seconds: float) -> None:
        files = self.played.files
        await anyio.sleep(after)
        files.capacity = files.used() + self.chance.randint(0, 500)
        await anyio.sleep(seconds)
        files.capacity = None

    def _flip(self) -> None:
        files = self.played.files
        paths = [path for path in files.paths() if path.suffix in (".jsonl", ".index")]
        paths = [path for path in paths if files.read(path)]
        if paths:
            self.kinds["flipped bit"] += 1
            path = self.chance.choice(paths)
            size = len(files.read(path))
            files.flip(path, self.chance.randrange(size), self.chance.randrange(8))

    def _check(self, known: dict[str, Any]) -> None:
        played = self.played
        for problem in verify(ROOT, files=played.files).problems:
            self.problems.append(f"verify: {problem}")
        kept = played.trajectories()
        found = {each.id: outline(each) for each in kept}
        if len(found) != len(kept):
            self.problems.append("an attempt is there twice")
        mine = {f"t{i}" for i in range(self.tasks)}
        expected = {key: each for key, each in known.items() if key.split("/")[0] in mine}
        altered = self.kinds["flipped bit"] > 0
        for key in expected:
            # A flipped bit may cost an attempt that was tried again: it is not made good.
            if key not in found and not (altered and not expected[key][6]):
                self.problems.append(f"{key} is not there")
            elif key in found and found[key] != expected[key]:
                self.problems.append(f"{key} is not what it is without faults")
        for key in set(found) - set(expected):
            self.problems.append(f"{key} should not be there")
        lossy = altered or (self.kinds["loss of power"] and self.sync)
        if not lossy:
            self._check_paid()
        shown = {each.id for each in played.sunk if each.status != "cancelled"}
        if not shown <= set(found) and not lossy:
            self.problems.append(f"shown and not kept: {shown - set(found)}")
        if played.files.handles:
            self.problems.append(f"handles left open: {played.files.handles}")

    def _check_paid(self) -> None:
        shown = [each.id for each in self.played.sunk if each.status != "cancelled"]
        if len(shown) != len(set(shown)):
            self.problems.append("a trajectory was shown twice")
        twice = [turn for turn, count in self.played.world.answered.items() if count > 1]
        # A rollout that failed and is tried again asks again.
        if self.flush == 0 and twice and not self.played.retries and not self.kinds["full disk"]:
            self.problems.append(f"paid for twice: {twice}")


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--seeds", type=int, default=1000)
    made.add_argument("--first", type=int, default=0)
    made.add_argument("--seed", type=int)
    made.add_argument("--seconds", type=float, default=0.0, help="no seed begins after these")
    given = made.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    if given.seed is not None:
        seeds = range(given.seed, given.seed + 1)
    kinds: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    broken, began = 0, time.monotonic()
    for seed in seeds:
        if given.seconds and time.monotonic() - began > given.seconds:
            break
        simulation = Simulation(seed)
        try:
            run(simulation.play, backend="trio", seed=seed, clock=MockClock(autojump_threshold=0))
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed is to be told
            simulation.problems.append(f"raised {error!r}")
        kinds.update(simulation.kinds)
        answered = simulation.played.world.answered
        kept = simulation.played.trajectories()
        totals["seeds"] += 1
        totals["trajectories"] += len(kept)
        totals["resumed"] += sum("resumed" in note for each in kept for note in each.notes)
        totals["model turns"] += sum(answered.values())
        totals["of these paid for again"] += sum(count - 1 for count in answered.values())
        if simulation.problems:
            broken += 1
            sys.stdout.write(json.dumps({"seed": seed, "problems": simulation.problems}) + "\n")
            sys.stdout.flush()
    table = {**totals, "broken": broken, "faults": dict(kinds)}
    sys.stdout.write(json.dumps(table) + "\n")
    return 1 if broken or not totals["seeds"] else 0


if __name__ == "__main__":
    sys.exit(main())
