"""How long does a rollout take to its first step, from a cold start?

    python -m bench.first_step --rounds 10

Milliseconds from the start of a process to its first line: `nexau version`, `nexau run` of a
scripted agent up to its first event and to its first step, and a bare Python for comparison. One
after the other, in turn, so that what the machine does besides hits all alike. JSON on stdout.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.workers import write_agent

RUN = (sys.executable, "-m", "nexau.cli.main", "run", "agent.json", "Who is it?", "--json")
COMMANDS = {
    "python": (sys.executable, "-c", "print(1)"),
    "nexau version": (sys.executable, "-m", "nexau.cli.main", "version"),
    "first event": (*RUN, "--emit", "events"),
    "first step": (*RUN, "--emit", "steps"),
}


def measure(command: Sequence[str], folder: Path) -> float:
    """Milliseconds to the first line. Raises RuntimeError where there is none."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = 1000 * (time.perf_counter() - began)
        _, said = process.communicate()
    if not line:
        raise RuntimeError(said.decode())
    return took


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.first_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(argv)
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="nexau-bench-") as name:
        write_agent(Path(name), 1)
        for _ in range(given.rounds):
            for what, command in COMMANDS.items():
                found[what].append(measure(command, Path(name)))
    for what, times in found.items():
        line = {"until": what, "ms": round(statistics.median(times), 1)}
        print(json.dumps({**line, "least": round(min(times), 1), "most": round(max(times), 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
