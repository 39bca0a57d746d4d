"""What does it cost to keep a run in a directory?

python -m bench.keeping
python -m bench.keeping --case model-http --rollouts 1000
python -m bench.keeping --flush 0 --fsync 0 --case in-process-20ms

Two processes, one whose runs are kept and one whose are not, do the same work in turns, so that
whatever else the machine does meets both, and neither meets what the other leaves in its process.

The lines of both go to a file; the kept ones write them into their directory too, and make it and
close it. Told is the CPU time of the process for one rollout, all threads counted: the medians, the
least, which tells more on a machine that others use, and the median of what a run costs more with
the directory than the one beside it without.
Where model and tool take no time, as in `in-process`, that is the loss of throughput too.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

import nexau
from bench.cases import CASES
from bench.child import Job
from bench.contenders.runtime import agent_of
from bench.servers import model_server
from bench.work import Work
from nexau.actors._backend import run
from nexau.definitions.values import Agent
from nexau.journal.durability import Durability
from nexau.transports.lines import open_lines
from nexau.tuning import tune_gc

QUESTION = "What does it cost to keep a run in a directory?"
WARM = 2
"""Turns before the first that counts."""


async def _turn(
    runtime: nexau.Runtime, agent: Agent, given: argparse.Namespace, file: int, out: Path | None
) -> float:
    """CPU seconds of one run, from its first task to its last line."""
    durability = Durability(given.flush, None if given.fsync < 0 else given.fsync)
    tasks = ["Look at the customers."] * given.rollouts
    began = time.process_time()
    async with (
        open_lines(file) as writer,
        runtime.rollouts(
            agent,
            tasks,
            concurrency=given.concurrency,
            sinks=[nexau.LineSink(writer)],
            out=out,
            durability=durability,
        ) as run,
    ):
        summary = await run.wait()
    if summary.by_status != {"completed": given.rollouts}:
        raise SystemExit(f"rollouts ended as {summary.by_status}")
    return time.process_time() - began


async def _take_turns(given: argparse.Namespace) -> None:
    """A turn for each line of stdin; its CPU seconds to stdout."""
    case = CASES[given.case]
    job = Job(case, given.concurrency, 0.0, Path(os.devnull), model=given.url)
    agent = agent_of(job, Work(case, "uvloop"))
    folder = Path(tempfile.mkdtemp(prefix="keeping-", dir=given.folder))
    file = os.open(folder / "lines.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    out = folder / "run" if given.part == "kept" else None
    try:
        async with nexau.open_runtime() as runtime:
            await runtime.prepare(agent)
            for _ in sys.stdin:
                seconds = await _turn(runtime, agent, given, file, out)
                shutil.rmtree(folder / "run", ignore_errors=True)
                os.ftruncate(file, 0)
                print(seconds, flush=True)
    finally:
        os.close(file)
        shutil.rmtree(folder, ignore_errors=True)


class _Part:
    """The process of one kind of run."""

    def __init__(self, kind: str, arguments: Sequence[str], url: str) -> None:
        command = (sys.executable, "-m", "bench.keeping", *arguments, "--url", url, "--part", kind)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def turn(self) -> float:
        """CPU seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        if not told:
            raise SystemExit(self._process.wait() or 1)
        return float(told)

    def close(self) -> None:
        self._process.communicate()


def _measure(
    given: argparse.Namespace, arguments: Sequence[str], url: str
) -> tuple[list[float], list[float]]:
    """CPU seconds of each turn without a directory, and with one."""
    taken: dict[str, list[float]] = {"plain": [], "kept": []}
    with ExitStack() as stack:
        parts = {kind: stack.enter_context(closing(_Part(kind, arguments, url))) for kind in taken}
        for number in range(given.turns + WARM):
            for kind in ("plain", "kept") if number % 2 else ("kept", "plain"):
                seconds = parts[kind].turn()
                if number >= WARM:
                    taken[kind].append(seconds)
    return taken["plain"], taken["kept"]


def main(argv: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(
        prog="python -m bench.keeping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--case", choices=sorted(CASES), default="in-process")
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--rollouts", type=int, default=4000, help="of one turn")
    made.add_argument("--turns", type=int, default=20)
    made.add_argument("--flush", type=float, default=0.02)
    made.add_argument("--fsync", type=float, default=1.0)
    made.add_argument("--folder", type=Path, help="whose disk is written; default: a temporary one")
    made.add_argument("--part", choices=("plain", "kept"), help=argparse.SUPPRESS)
    made.add_argument("--url", default="", help=argparse.SUPPRESS)
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = made.parse_args(arguments)
    if given.part:
        tune_gc()
        run(_take_turns, given, backend="uvloop")
        return 0
    with ExitStack() as stack:
        url = ""
        if CASES[given.case].model == "http":
            url = stack.enter_context(model_server(CASES[given.case], "-")).url
        without, with_ = _measure(given, arguments, url)
    ratios = [more / less for more, less in zip(with_, without, strict=True)]
    print(
        msgspec.json.encode(
            {
                "case": given.case,
                "concurrency": given.concurrency,
                "flush": given.flush,
                "fsync": given.fsync,
                "cpu_us_without": round(statistics.median(without) / given.rollouts * 1e6, 1),
                "cpu_us_kept": round(statistics.median(with_) / given.rollouts * 1e6, 1),
                "least_us_without": round(min(without) / given.rollouts * 1e6, 1),
                "least_us_kept": round(min(with_) / given.rollouts * 1e6, 1),
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
