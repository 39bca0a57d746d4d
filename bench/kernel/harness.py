"""Runs one question: a fresh process for each contender, interleaved in rounds, JSON on stdout.

    python bench/kernel/ask_idle.py [--backend uvloop|trio] [--rounds 5] [--only NAME ...]

A question is a file that calls `main(__doc__, {name: contender})`. A contender is an async function
that returns (operations, seconds) or (bytes, objects); the figure is the quotient. One that needs a
package that is not installed is left out, and named so. Others may be using the machine: only the
ratios within one run mean anything.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable

from nexau.actors._backend import run

Contender = Callable[[], Awaitable[tuple[float, float]]]
PACKAGES = ("anyio", "trio", "uvloop", "msgspec", "pykka", "thespian", "xoscar", "autogen-core")


def main(question: str | None, contenders: dict[str, Contender], base: str = "ours") -> None:
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--backend", default="uvloop", choices=("uvloop", "asyncio", "trio"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        try:
            amount, divisor = run(contenders[options.one], backend=options.backend)
        except ImportError as error:
            sys.stdout.write(json.dumps({"missing": str(error)}))
            return
        sys.stdout.write(json.dumps({"figure": amount / divisor}))
        return
    names = [name for name in contenders if options.only is None or name in options.only]
    figures: dict[str, list[float]] = {name: [] for name in names}
    skipped: dict[str, str] = {}
    for _ in range(options.rounds):
        for name in names:
            if name not in skipped:
                measure(name, options.backend, figures, skipped)
    medians = {name: statistics.median(got) for name, got in figures.items() if got}
    record = {
        "question": (question or "").strip().splitlines()[0],
        "backend": options.backend,
        "python": platform.python_version(),
        "versions": versions(),
        "figures": {name: round(figure, 1) for name, figure in medians.items()},
        f"{base}_as_ratio": {
            name: round(medians[base] / figure, 2)
            for name, figure in medians.items()
            if name != base and base in medians
        },
        "skipped": skipped,
    }
    sys.stdout.write(json.dumps(record, indent=1) + "\n")


def measure(
    name: str, backend: str, figures: dict[str, list[float]], skipped: dict[str, str]
) -> None:
    command = [sys.executable, sys.argv[0], "--one", name, "--backend", backend]
    # One core, so that nobody gains from a second one.
    core = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else None
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=(lambda: os.sched_setaffinity(0, core)) if core else None,
        check=False,
    )
    if done.returncode:
        skipped[name] = done.stderr.strip().splitlines()[-1] if done.stderr else "failed"
        return
    answer = json.loads(done.stdout)
    if "missing" in answer:
        skipped[name] = answer["missing"]
    else:
        figures[name].append(answer["figure"])


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
