"""What does it cost to keep a run in a directory?

python -m bench.keeping
python -m bench.keeping --flush 0 --fsync 0 --case in-process-20ms

Two runs of the same agent are open in one process, one of them kept. They are given the same work
in turns, a few hundred rollouts each time, so that whatever else the machine does meets both; the
lines of both go to a file. Told is the CPU time of the process for one rollout, all threads
counted: the medians, and the median of what a turn costs more with the directory than the turn
beside it without. Where model and tool take no time, as in `in-process`, that is the loss of
throughput too.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

import nexau
from bench.cases import CASES
from bench.child import Job
from bench.contenders.runtime import agent_of
from bench.work import Work
from nexau.actors._backend import run
from nexau.definition import Agent
from nexau.journal.keeper import Durability
from nexau.sinks import Emits, Item
from nexau.trajectory import Trajectory
from nexau.transports.lines import open_lines
from nexau.tuning import tune_gc

QUESTION = "What does it cost to keep a run in a directory?"


class Side:
    """One of the two runs."""

    def __init__(self, runtime: nexau.Runtime, agent: Agent, file: Path, out: Path | None) -> None:
        self.cpu: list[float] = []
        """Seconds for one rollout, of each turn."""
        self._runtime = runtime
        self._agent = agent
        self._file = file
        self._out = out
        self._give, self._take = anyio.create_memory_object_stream[str](1 << 20)
        self._left = 0
        self._done = anyio.Event()

    emits: Emits = "trajectories"

    async def write(self, item: Item) -> None:
        """As a sink: the last to be told."""
        if not isinstance(item, Trajectory) or item.status != "completed":
            raise SystemExit(f"not completed: {item}")
        self._left -= 1
        if not self._left:
            self._done.set()

    @asynccontextmanager
    async def open(self, concurrency: int, durability: Durability) -> AsyncIterator[None]:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            async with (
                open_lines(descriptor) as writer,
                self._runtime.rollouts(
                    self._agent,
                    self._take,
                    concurrency=concurrency,
                    sinks=[nexau.LineSink(writer), self],
                    out=self._out,
                    durability=durability,
                ) as run,
                anyio.create_task_group() as group,
            ):
                group.start_soon(run.wait)
                yield
                self._give.close()
        finally:
            os.close(descriptor)

    async def turn(self, count: int) -> None:
        self._left, self._done = count, anyio.Event()
        began = time.process_time()
        for _ in range(count):
            self._give.send_nowait("Look at the customers.")
        await self._done.wait()
        self.cpu.append((time.process_time() - began) / count)


async def _measure(given: argparse.Namespace) -> tuple[Side, Side]:
    case = CASES[given.case]
    agent = agent_of(Job(case, given.concurrency, 0.0, Path(os.devnull)), Work(case, "uvloop"))
    durability = Durability(given.flush, None if given.fsync < 0 else given.fsync)
    folder = Path(tempfile.mkdtemp(prefix="keeping-", dir=given.folder))
    try:
        async with nexau.open_runtime() as runtime:
            await runtime.prepare(agent)
            plain = Side(runtime, agent, folder / "plain.jsonl", None)
            kept = Side(runtime, agent, folder / "kept.jsonl", folder / "run")
            async with (
                plain.open(given.concurrency, durability),
                kept.open(given.concurrency, durability),
            ):
                for number in range(given.turns):
                    for side in (plain, kept) if number % 2 else (kept, plain):
                        await side.turn(given.rollouts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return plain, kept


def main(argv: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(
        prog="python -m bench.keeping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--case", choices=sorted(CASES), default="in-process")
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--rollouts", type=int, default=400, help="of one turn")
    made.add_argument("--turns", type=int, default=100)
    made.add_argument("--flush", type=float, default=0.02)
    made.add_argument("--fsync", type=float, default=1.0)
    made.add_argument("--folder", type=Path, help="whose disk is written; default: a temporary one")
    given = made.parse_args(argv)
    tune_gc()
    plain, kept = run(_measure, given, backend="uvloop")
    warm = given.turns // 10
    without, with_ = plain.cpu[warm:], kept.cpu[warm:]
    ratios = [more / less for more, less in zip(with_, without, strict=True)]
    print(
        msgspec.json.encode(
            {
                "case": given.case,
                "concurrency": given.concurrency,
                "flush": given.flush,
                "fsync": given.fsync,
                "cpu_us_without": round(statistics.median(without) * 1e6, 2),
                "cpu_us_kept": round(statistics.median(with_) * 1e6, 2),
                "more_percent": round((statistics.median(ratios) - 1) * 100, 1),
                "more_percent_quartiles": [
                    round((each - 1) * 100, 1) for each in statistics.quantiles(ratios, n=4)
                ],
            }
        ).decode()
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
