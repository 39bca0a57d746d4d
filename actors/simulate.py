"""The deterministic simulator: random actor programs on trio, in virtual time, from one seed.

`python -m nexau.actors.simulate --seeds 10000` runs programs and checks the promises of
docs/semantics.md on each. A seed decides the program, its faults, and the scheduling, so a seed
that fails replays to the same trace, byte for byte: `--seed N --trace`.

Exit status: 0, or 1 if a seed failed.
"""

import argparse
import gc
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import trio
from trio.testing import MockClock

from nexau.actors._backend import run
from nexau.actors._world import World, play
from nexau.actors.ref import ActorRef

HUNG = 60.0
"""Real seconds that a seed may take; most take a hundredth of one."""


class Outcome(msgspec.Struct, frozen=True):
    """What one seed showed."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    """Of the trace."""
    messages: int
    trace: tuple[str, ...]


def run_seed(seed: int) -> Outcome:
    """Run the program of one seed to its end and check it. Its trace depends on the seed alone."""
    world = World(seed)
    logger = logging.getLogger("nexau.actors")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    # The cycle collector runs finalizers when it pleases; here it has to please the seed.
    collecting = gc.isenabled()
    gc.disable()
    try:
        run(play, world, backend="trio", seed=seed, clock=MockClock(autojump_threshold=0))
    except* AssertionError as group:
        world.violations.extend(f"assertion: {error}" for error in leaves(group))
    # The boundary: any error of the kernel is a finding, a cancellation out of nowhere too.
    except* (Exception, trio.Cancelled) as group:  # noqa: BLE001
        world.violations.extend(f"kernel error: {error!r}" for error in leaves(group))
    finally:
        logger.setLevel(level)
        if collecting:
            gc.enable()
    digest = hashlib.sha256("\n".join(world.trace).encode()).hexdigest()
    return Outcome(seed, tuple(world.violations), digest, len(world.sent), tuple(world.trace))


def leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def actors_alive() -> int:
    """Actors that the garbage collector cannot free."""
    gc.collect()
    return sum(1 for item in gc.get_objects() if isinstance(item, ActorRef))


def simulate(first: int, seeds: int, seconds: float | None) -> Iterator[Outcome]:
    """Seeds in a row, until as many are done or the time is up."""
    end = time.monotonic() + seconds if seconds is not None else None
    for seed in range(first, first + seeds):
        if end is not None and time.monotonic() > end:
            return
        guard = threading.Timer(HUNG, hung, (seed,))
        guard.daemon = True
        guard.start()
        try:
            outcome = run_seed(seed)
        finally:
            guard.cancel()
        yield outcome
        del outcome


def emit(record: object) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def report(seed: int, violations: tuple[str, ...]) -> None:
    replay = f"python -m nexau.actors.simulate --seed {seed} --trace"
    emit({"seed": seed, "violations": violations, "replay": replay})


def hung(seed: int) -> None:
    """A seed that not even the end of its virtual time ends cannot be ended from inside."""
    report(seed, (f"still runs after {HUNG:g} s",))
    os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nexau.actors.simulate", description=str(__doc__).partition("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long")
    parser.add_argument("--seed", type=int, default=None, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="print the trace, a line an event")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        options.first, options.seeds = options.seed, 1
    before = actors_alive()
    started = time.monotonic()
    done = messages = failed = 0
    for outcome in simulate(options.first, options.seeds, options.seconds):
        done += 1
        messages += outcome.messages
        if options.trace:
            for line in outcome.trace:
                sys.stdout.write(line + "\n")
        if outcome.violations:
            failed += 1
            report(outcome.seed, outcome.violations)
        del outcome
    left = actors_alive() - before
    took = time.monotonic() - started
    if not options.trace:
        summary = {"seeds": done, "failed": failed, "messages": messages, "actors_left": left}
        emit({**summary, "seconds": round(took, 1)})
    return 1 if failed or left > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
