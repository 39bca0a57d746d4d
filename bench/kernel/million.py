"""A million idle actors in one process: how long to start them, how much memory, what then?

    python bench/kernel/million.py [--count 1000000] [--gc tuned] [--backend trio]

CPU seconds of the process; memory is what its resident set grew by.
"""

import argparse
import gc
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patterns import clock

from nexau.actors import Actor, ActorSystem, open_system, tune_gc
from nexau.actors._backend import run

ASKED = 100_000


class Idle(Actor):
    __slots__ = ()

    async def receive(self, message: Any) -> Any:
        return message


def resident() -> int:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def timed(function: Callable[[], Any]) -> float:
    start = clock()
    function()
    return clock() - start


async def million(count: int) -> dict[str, Any]:
    record: dict[str, Any] = {}
    async with open_system("bench") as system:
        record |= await measure(system, count)
        start = clock()
    record["stop_seconds"] = clock() - start
    return record


async def measure(system: ActorSystem, count: int) -> dict[str, Any]:
    kept: list[Any] = [None] * count
    before = resident()

    def start() -> None:
        for number in range(count):
            kept[number] = system.spawn(Idle)

    took = timed(start)
    grown = resident() - before
    collection = timed(gc.collect)
    began = clock()
    for ref in kept[:: max(1, count // ASKED)]:
        await ref.ask(1)
    return {
        "actors": system.statistics().actors,
        "spawn_seconds": took,
        "spawns_per_second": count / took,
        "bytes_each": grown / count,
        "full_collection_seconds": collection,
        "asks_per_second_over_all": min(count, ASKED) / (clock() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--backend", default="uvloop", choices=("uvloop", "asyncio", "trio"))
    parser.add_argument("--gc", default="default", choices=("default", "tuned"))
    options = parser.parse_args()
    if options.gc == "tuned":
        tune_gc()
    record = run(million, options.count, backend=options.backend)
    rounded = {name: round(figure, 3) for name, figure in record.items()}
    sys.stdout.write(json.dumps({**rounded, "gc": options.gc, "backend": options.backend}) + "\n")


if __name__ == "__main__":
    main()
