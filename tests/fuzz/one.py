"""Fuzzes one reader: `python -m tests.fuzz.one NAME RUNS SECONDS SEED`. Prints a JSON line.

With atheris, guided by coverage; the second half without, by plain mutation, which is faster.
"""

import json
import random
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.mutation import mutated
from tests.fuzz.readers import BY_NAME, MAX

SLOW = 10
"""Seconds of one input that are too many, on a busy machine."""
MEMORY = 3 << 30


class TooSlow(BaseException):
    """Not an Exception: no reader may catch it."""


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {SLOW} s")


def plain(name: str, runs: int, seconds: float, seed: int) -> dict[str, Any]:
    """`runs` inputs, or as many as `seconds` allow."""
    reader, chance = BY_NAME[name], random.Random(f"{name}/{seed}")
    signal.signal(signal.SIGALRM, _too_slow)
    began, slowest, done = time.monotonic(), 0.0, 0
    while done < runs and (done % 64 or time.monotonic() - began < seconds):
        data = mutated(chance, reader.seeds, MAX)
        signal.setitimer(signal.ITIMER_REAL, SLOW)
        at = time.process_time()
        try:
            reader.read(data)
        except BaseException:
            signal.setitimer(signal.ITIMER_REAL, 0)
            where = Path(f"crash-{name}")
            where.write_bytes(data)
            sys.stderr.write(f"{name}: input {done} of seed {seed}, kept in {where}: {data!r}\n")
            raise
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.process_time() - at)
        done += 1
    return {
        "reader": name,
        "inputs": done,
        "seconds": round(time.monotonic() - began, 1),
        "slowest_ms": round(1000 * slowest, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    name, runs, seconds, seed = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout.write(json.dumps(plain(name, int(runs), float(seconds), int(seed))) + "\n")


if __name__ == "__main__":
    main()
