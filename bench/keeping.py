"""What does it cost to keep a run in a directory?

python -m bench.keeping
python -m bench.keeping --case model-http --rollouts 1000
python -m bench.keeping --flush 0 --fsync 0 --case in-process-20ms

Two processes, one whose runs are kept and one whose are not, do the same work in turns, so that
whatever else the machine does meets both, and neither meets what the other leaves in its process.
One process is up to 5 % faster than the next for as long as it lives, by where its memory came to
lie; so there are several such pairs, one after the other.

The lines of both go to a file; the kept ones write them into their directory too, and make it and
close it. Told is the CPU time of the process for one rollout, all threads counted: the medians, the
least, which tells more on a machine that others use, and by how much more it is with the directory,
over all pairs and for each of them. And rollouts a second by the wall: the medians, and what is
lost of them; the end of a kept run waits for the disk, so short ones lose more.
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
from typing import NamedTuple

import msgspec

import nexau
from bench.cases import CASES
from bench.child import Job
from bench.contenders.runtime import agent_of
from bench.servers import command, http_server, model_server
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
) -> tuple[float, float]:
    """Seconds of one run, from its first task to its last line: of CPU, and by the wall."""
    durability = Durability(given.flush, None if given.fsync < 0 else given.fsync)
    tasks = ["Look at the customers."] * given.rollouts
    began, clock = time.process_time(), time.perf_counter()
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
    return time.process_time() - began, time.perf_counter() - clock


async def _take_turns(given: argparse.Namespace) -> None:
    """A turn for each line of stdin; its seconds to stdout."""
    case = CASES[given.case]
    stdio = tuple(command(case, "-")) if case.tool == "stdio" else ()
    job = Job(
        *(case, given.concurrency, 0.0, Path(os.devnull)),
        command=stdio,
        url=given.server,
        model=given.model,
    )
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
                print(*seconds, flush=True)
    finally:
        os.close(file)
        shutil.rmtree(folder, ignore_errors=True)


class Turn(NamedTuple):
    """Seconds."""

    cpu: float
    wall: float


class Pair(NamedTuple):
    """Turns of two processes."""

    plain: list[Turn]
    kept: list[Turn]

    def more(self) -> float:
        """By how much more CPU time, as a share."""
        kept, plain = (statistics.median(each.cpu for each in turns) for turns in self[::-1])
        return kept / plain - 1


class _Part:
    """The process of one kind of run."""

    def __init__(self, kind: str, arguments: Sequence[str]) -> None:
        line = (sys.executable, "-m", "bench.keeping", *arguments, "--part", kind)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True)

    def turn(self) -> Turn:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        if not told:
            raise SystemExit(self._process.wait() or 1)
        cpu, wall = map(float, told.split())
        return Turn(cpu, wall)

    def close(self) -> None:
        self._process.communicate()


def _measure(given: argparse.Namespace, arguments: Sequence[str]) -> Pair:
    taken = Pair([], [])
    with ExitStack() as stack:
        parts = {
            kind: stack.enter_context(closing(_Part(kind, arguments))) for kind in Pair._fields
        }
        for number in range(given.turns + WARM):
            for kind in Pair._fields[:: 1 if number % 2 else -1]:
                turn = parts[kind].turn()
                if number >= WARM:
                    getattr(taken, kind).append(turn)
    return taken


def _told(given: argparse.Namespace, pairs: list[Pair]) -> dict[str, object]:
    told: dict[str, object] = {}
    cpu, least, rate = {}, {}, {}
    for kind in Pair._fields:
        turns = [turn for pair in pairs for turn in getattr(pair, kind)]
        cpu[kind] = statistics.median(turn.cpu for turn in turns)
        least[kind] = min(turn.cpu for turn in turns)
        rate[kind] = given.rollouts / statistics.median(turn.wall for turn in turns)
        told[f"{kind}_cpu_us"] = round(cpu[kind] / given.rollouts * 1e6, 1)
        told[f"{kind}_least_us"] = round(least[kind] / given.rollouts * 1e6, 1)
        told[f"{kind}_per_second"] = round(rate[kind], 1)
    more = sorted(round(pair.more() * 100, 1) for pair in pairs)
    return told | {
        "more_cpu_percent": round((cpu["kept"] / cpu["plain"] - 1) * 100, 1),
        "more_cpu_percent_of_pairs": more,
        "more_by_the_least_percent": round((least["kept"] / least["plain"] - 1) * 100, 1),
        "throughput_lost_percent": round((1 - rate["kept"] / rate["plain"]) * 100, 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(
        prog="python -m bench.keeping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--case", choices=sorted(CASES), default="in-process")
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--rollouts", type=int, default=4000, help="of one turn")
    made.add_argument("--turns", type=int, default=6, help="of each process")
    made.add_argument("--pairs", type=int, default=8, help="of processes")
    made.add_argument("--flush", type=float, default=0.05)
    made.add_argument("--fsync", type=float, default=1.0)
    made.add_argument("--folder", type=Path, help="whose disk is written; default: a temporary one")
    made.add_argument("--part", choices=("plain", "kept"), help=argparse.SUPPRESS)
    made.add_argument("--model", default="", help=argparse.SUPPRESS)
    made.add_argument("--server", default="", help=argparse.SUPPRESS)
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = made.parse_args(arguments)
    if given.part:
        tune_gc()
        run(_take_turns, given, backend="uvloop")
        return 0
    case = CASES[given.case]
    with ExitStack() as stack:
        if case.model == "http":
            arguments += "--model", stack.enter_context(model_server(case, "-")).url
        if case.tool == "http":
            arguments += "--server", stack.enter_context(http_server(case, "-")).url
        pairs = [_measure(given, arguments) for _ in range(given.pairs)]
    asked = {name: getattr(given, name) for name in ("case", "concurrency", "flush", "fsync")}
    print(msgspec.json.encode(asked | _told(given, pairs)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
