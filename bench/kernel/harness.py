"""Runs one question: a fresh process for each contender, interleaved in rounds, JSON on stdout.

    python bench/kernel/ask_idle.py [--backend uvloop|trio] [--rounds 5] [--only NAME ...]

A question is a file that calls `main(__doc__, {name: contender})`. A contender is an async function
that returns (operations, CPU seconds) or (bytes, objects); the figure is the quotient. A third
value, seconds on the wall, makes a second figure. Others may be using the machine: only the ratios
within one run mean anything.

Other actor libraries live in an environment of their own, which `--peers` names:

    python -m venv .cache/peers
    .cache/peers/bin/pip install -r bench/kernel/peers-requirements.txt

A contender that is not installed is left out, and named so.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from nexau.actors import tune_gc
from nexau.actors._backend import run

Contender = Callable[[], Awaitable[tuple[float, ...]]]
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("anyio", "trio", "uvloop", "msgspec", "pykka", "thespian", "xoscar", "autogen-core")


def main(
    question: str | None,
    contenders: Mapping[str, Contender],
    peers: Mapping[str, Contender] | None = None,
    ratio: str = "ours_as_ratio",
) -> None:
    """`peers` run in their environment, beside the others."""
    peers = peers or {}
    everyone = {**contenders, **peers}
    options = parse(question)
    if options.one:
        if options.gc == "tuned":
            tune_gc()
        one(everyone[options.one], options.backend)
        return
    names = [name for name in everyone if options.only is None or name in options.only]
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            if not any("missing" in answer for answer in answers[name]):
                python = options.peers if name in peers else sys.executable
                answers[name].append(measure(python, name, options.backend, options.gc))
    medians = median(answers, "figure")
    record = {
        "question": (question or "").strip().splitlines()[0],
        "backend": options.backend,
        "gc": options.gc,
        "python": platform.python_version(),
        "versions": versions(),
        "rounds": options.rounds,
        "figures": rounded(medians),
        ratio: ratios(medians),
        "spread": {
            name: [min(figures), max(figures)]
            for name, got in answers.items()
            if (figures := [round(answer["figure"], 1) for answer in got if "figure" in answer])
        },
        "skipped": {
            name: answer["missing"]
            for name, got in answers.items()
            for answer in got
            if "missing" in answer
        },
    }
    if walls := median(answers, "wall_figure"):
        record |= {"wall_figures": rounded(walls), f"wall_{ratio}": ratios(walls)}
    sys.stdout.write(json.dumps(record, indent=1) + "\n")


def parse(question: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--backend", default="uvloop", choices=("uvloop", "asyncio", "trio"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gc", default="default", choices=("default", "tuned"))
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--peers", default=str(ROOT / ".cache/peers/bin/python"), metavar="PYTHON")
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def one(contender: Contender, backend: str) -> None:
    """Inside the process of one contender."""
    try:
        amount, *divisors = run(contender, backend=backend)
    except ImportError as error:
        answer: dict[str, Any] = {"missing": str(error)}
    else:
        names = ("figure", "wall_figure")
        answer = {name: amount / by for name, by in zip(names, divisors, strict=False)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def measure(python: str, name: str, backend: str, collector: str) -> dict[str, Any]:
    if not Path(python).exists():
        return {"missing": "no environment of peers: see harness.py"}
    command = [python, sys.argv[0], "--one", name, "--backend", backend, "--gc", collector]
    # One core, so that nobody gains from a second one.
    core = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else None
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=(lambda: os.sched_setaffinity(0, core)) if core else None,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        return {"missing": done.stderr.strip().splitlines()[-1] if done.stderr else "failed"}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def median(answers: Mapping[str, list[dict[str, Any]]], key: str) -> dict[str, float]:
    return {
        name: statistics.median(figures)
        for name, got in answers.items()
        if (figures := [answer[key] for answer in got if key in answer])
    }


def ratios(medians: Mapping[str, float]) -> dict[str, float]:
    """Ours by each of the others."""
    if "ours" not in medians:
        return {}
    ours = medians["ours"]
    return {name: round(ours / other, 2) for name, other in medians.items() if name != "ours"}


def rounded(medians: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 2) for name, figure in medians.items()}


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
