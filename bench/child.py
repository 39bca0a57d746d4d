"""The inside of a contender's process: does the work, measures it, prints one JSON line.

A contender is a module with an async context manager that opens what it needs and yields a
function, `run(tasks, concurrency)`: a rollout for each task, `concurrency` at once, a JSON line
for each appended to the file `job.output`, all of them there when it returns. It ends with
`serve(open_contender)`. Standard library and anyio only, so that contenders may live in
environments of their own.
"""

import argparse
import cProfile
import gc
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from bench import procstat
from bench.cases import CASES, Case
from bench.pinned import hold_to
from bench.work import MARK, Work

Run = Callable[[Iterable[str], int], Coroutine[Any, Any, None]]

WARM_UP = 16
"""Rollouts, or as many as are wanted at once if that is less."""
WARM_UP_MEMORY = 64
SECONDS = b'"seconds":'
PARSED = 100
"""One line in so many is parsed whole when the work is checked."""


@dataclass(frozen=True)
class Job:
    """What the harness asks of a contender."""

    case: Case
    concurrency: int
    seconds: float
    output: Path
    loop: str = "uvloop"
    cores: str = "-"
    command: tuple[str, ...] = ()
    """Starts the stdio server of the case."""
    url: str = ""
    """Of the HTTP server of the case."""
    server: int = 0
    """Process id of that server."""
    model: str = ""
    """Base URL of the model, where it is a server."""
    model_pid: int = 0
    quantiles: tuple[float, ...] = ()
    """See `bench.work.Work`."""
    variant: str = ""
    """Of a contender that can be had in several."""
    memory: bool = False
    """Measure memory while all rollouts are suspended, instead of throughput."""
    profile: Path | None = None
    gc: tuple[int, ...] = ()
    """Thresholds of the garbage collector, after what start-up made is frozen; none: CPython's."""


Open = Callable[[Job, Work], AbstractAsyncContextManager[Run]]


class Broken(Exception):
    """The contender did not do its work; the text says what is missing."""


def serve(open_contender: Open, *packages: str) -> None:
    """The whole life of a contender's process. `packages` are those whose versions matter."""
    job = _job()
    hold_to(job.cores)
    # What a framework prints is not our answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    result = run_loop(job.loop, lambda: _measure(job, open_contender))
    result["versions"] = {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
    os.write(answer, json.dumps(result).encode() + b"\n")


def run_loop(loop: str, main: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    """Runs `main` on `uvloop`, `asyncio` or `trio`."""
    if loop == "trio":
        return anyio.run(main, backend="trio")
    options = {"use_uvloop": loop == "uvloop"}
    return anyio.run(main, backend="asyncio", backend_options=options)


async def _measure(job: Job, open_contender: Open) -> dict[str, Any]:
    work = Work(job.case, job.loop, job.quantiles)
    job.output.write_bytes(b"")
    async with open_contender(job, work) as run:
        measure = _memory if job.memory else _throughput
        return await measure(job, work, run)


async def _throughput(job: Job, work: Work, run: Run) -> dict[str, Any]:
    await run(work.tasks(min(WARM_UP, job.concurrency)), job.concurrency)
    servers = [
        each
        for root in filter(None, (job.server, job.model_pid))
        for each in (*procstat.descendants(root), root)
    ]
    servers += procstat.descendants(os.getpid())
    before, work.begun, work.calls, work.turns = job.output.stat().st_size, 0, 0, 0
    work.first = None
    _settle(job)
    wall, cpu, others = time.perf_counter(), procstat.own_cpu(), procstat.cpu_of(servers)
    with _profiled(job.profile):
        await run(work.tasks(job.concurrency, job.seconds), job.concurrency)
    result: dict[str, Any] = {
        "wall": time.perf_counter() - wall,
        "cpu": procstat.own_cpu() - cpu,
        "server_cpu": procstat.cpu_of(servers) - others,
        "rollouts": work.begun,
        "peak_rss": procstat.peak_rss(),
    }
    if job.quantiles and work.waited is not None:
        result["waited"] = work.waited
    took: list[float] = []
    result["bytes"] = verify(job, work, before, took)
    if took and job.case.latency and not job.case.profile:
        added = sorted(1000 * (each - job.case.latency) for each in took)
        result["added_p50_ms"] = added[len(added) // 2]
        result["added_p99_ms"] = added[min(len(added) - 1, len(added) * 99 // 100)]
    if work.first is not None:
        result["first_ms"] = 1000 * (work.first - wall)
    return result


async def _memory(job: Job, work: Work, run: Run) -> dict[str, Any]:
    """RSS while `concurrency` rollouts wait in their last call, and before any of them began."""
    await run(work.tasks(WARM_UP_MEMORY), 1)
    before, work.begun, work.calls, work.turns = job.output.stat().st_size, 0, 0, 0
    _settle(job)
    idle = procstat.rss()
    work.gate = gate = anyio.Event()
    suspended = 0
    async with anyio.create_task_group() as group:
        group.start_soon(run, work.tasks(job.concurrency), job.concurrency)
        await work.all_waiting(job.concurrency)
        suspended = procstat.rss()
        own = getattr(run, "own_messages", None)
        held = own() if own is not None else 0
        gate.set()
    return {
        "rollouts": work.begun,
        "idle_rss": idle,
        "suspended_rss": suspended,
        "own_messages": held,
        "peak_rss": procstat.peak_rss(),
        "bytes": verify(job, work, before, []),
    }


def _settle(job: Job) -> None:
    gc.collect()
    if job.gc:
        gc.freeze()
        gc.set_threshold(*job.gc)


def verify(job: Job, work: Work, offset: int, took: list[float]) -> int:
    """Whether all the work was done: bytes that were written. Raises `Broken`.

    What the lines say of their rollouts' `seconds`, the last such key in each, goes to `took`.

    What it asks for is little, so that any format passes: a JSON line for each rollout, which names
    the customer of each call twice, in its arguments and in its result.
    """
    case = job.case
    calls = case.calls - (case.depth or case.width or 2) if case.delegates else case.calls
    lines = size = poor = 0
    with job.output.open("rb") as written:
        written.seek(offset)
        for line in written:
            if lines % PARSED == 0:
                json.loads(line)
            lines += 1
            size += len(line)
            poor += line.count(MARK) < 2 * calls
            at = line.rfind(SECONDS)
            if at > 0:
                took.append(float(re.split(rb"[,}]", line[at + len(SECONDS) :], maxsplit=1)[0]))
    if lines != work.begun:
        raise Broken(f"{lines} lines were written for {work.begun} rollouts")
    if poor:
        raise Broken(f"{poor} of {lines} lines lack calls or results")
    if case.model == "python" and work.turns != case.turns * work.begun:
        raise Broken(f"{work.turns} model turns were taken in {work.begun} rollouts")
    if case.tool == "python" and work.calls != calls * work.begun:
        raise Broken(f"{work.calls} calls were made in {work.begun} rollouts")
    return size


@contextmanager
def _profiled(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


def _job() -> Job:
    parser = argparse.ArgumentParser(description="One contender, one measurement, one JSON line.")
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--output", type=Path, required=True, help="for the trajectories")
    parser.add_argument("--loop", choices=("uvloop", "asyncio", "trio"), default="uvloop")
    parser.add_argument("--cores", default="-", help="to stay on, as 0 or 0,2")
    parser.add_argument("--command", default="[]", help="of the stdio server, a JSON array")
    parser.add_argument("--url", default="", help="of the HTTP server")
    parser.add_argument("--server", type=int, default=0, help="process id of that server")
    parser.add_argument("--model", default="", help="base URL of the model, where it is a server")
    parser.add_argument("--model-pid", type=int, default=0)
    parser.add_argument("--quantiles", default="[]", help="of the tool's seconds, a JSON array")
    parser.add_argument("--variant", default="")
    parser.add_argument("--memory", action="store_true", help="instead of throughput")
    parser.add_argument("--profile", type=Path, help="for the statistics of cProfile")
    parser.add_argument("--gc", default="[]", help="thresholds, a JSON array")
    given = vars(parser.parse_args())
    given["case"] = CASES[given["case"]]
    given["gc"] = tuple(json.loads(given["gc"]))
    given["quantiles"] = tuple(json.loads(given["quantiles"]))
    given["command"] = tuple(json.loads(given["command"]))
    return Job(**given)
