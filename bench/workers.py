"""How many times as fast are several worker processes, on as many cores?

    python -m bench.workers --workers 1,2 --tasks 100000

`nexau rollout` as a person would call it, with a scripted model and a Python function as its tool,
trajectories written to a file. Not held to cores: that is the question. Start-up is left out: the
rate is that of the run's own summary. CPU is that of all processes. JSON lines on stdout.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import harness
from bench.cases import CASES
from bench.work import SYSTEM, record, script

TOOLS = '''
ANSWERS = {answers!r}

async def get_customer(customer_id: str) -> str:
    """All that is known of one customer.

    Args:
        customer_id: As C-1042
    """
    return ANSWERS[customer_id]
'''


def write_agent(folder: Path, tasks: int) -> None:
    """The agent of the case `in-process`, as files, and its tasks."""
    answers = {f"C-100{i}": record(f"C-100{i}") for i in range(1, 5)}
    (folder / "tools.py").write_text(TOOLS.format(answers=answers))
    turns: list[dict[str, Any]] = [
        {"calls": [{"name": name, "arguments": arguments} for name, arguments in say.calls]}
        if say.calls
        else {"content": say.text}
        for say in script(CASES["in-process"], "")
    ]
    (folder / "turns.json").write_text(json.dumps(turns))
    agent = {
        "name": "desk",
        "model": "script:turns.json",
        "system_prompt": SYSTEM,
        "tools": ["tools:get_customer"],
    }
    (folder / "agent.json").write_text(json.dumps(agent))
    line = json.dumps({"input": "What do we know of this customer, and of the three after?"}) + "\n"
    (folder / "tasks.jsonl").write_text(line * tasks)


def measure(folder: Path, workers: int, concurrency: int) -> dict[str, Any]:
    """One run. Raises CalledProcessError."""
    command = [
        *(sys.executable, "-m", "nexau.cli.main", "rollout", "agent.json", "tasks.jsonl"),
        *("--workers", str(workers), "--concurrency", str(concurrency)),
        *("--summary", "summary.json", "--no-progress"),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with (folder / "lines.jsonl").open("wb") as lines:
        subprocess.run(command, cwd=folder, stdout=lines, stderr=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((folder / "summary.json").read_text())
    return {
        "workers": workers,
        "concurrency": concurrency,
        "rollouts": summary["rollouts"],
        "completed": summary["by_status"].get("completed", 0),
        "rate": summary["rollouts_per_second"],
        "wall": wall,
        "cpu_ms": 1000 * cpu / summary["rollouts"],
        "memory_mb": summary["peak_memory_bytes"] / 2**20,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", default="1,2", help="default: %(default)s")
    parser.add_argument("--concurrency", type=int, default=128, help="in all")
    parser.add_argument("--tasks", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    counts = [int(each) for each in given.workers.split(",")]
    print(harness.msgspec.json.encode(harness.environment("workers", vars(given))).decode())
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory(prefix="nexau-bench-") as name:
        folder = Path(name)
        write_agent(folder, given.tasks)
        for number in range(given.rounds):
            for count in counts if number % 2 == 0 else reversed(counts):
                sample = measure(folder, count, given.concurrency)
                found[count].append(sample)
                print(json.dumps({"type": "sample", "round": number, **sample}), flush=True)
    base = statistics.median(sample["rate"] for sample in found[counts[0]])
    for count, samples in found.items():
        rate = statistics.median(sample["rate"] for sample in samples)
        cpu = statistics.median(sample["cpu_ms"] for sample in samples)
        line = {"type": "result", "workers": count, "rate": round(rate, 1), "cpu_ms": round(cpu, 4)}
        print(json.dumps({**line, "times": round(rate / base, 3), "cores": os.cpu_count()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
