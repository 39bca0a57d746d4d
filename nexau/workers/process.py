"""One of several processes of a run: `python -m nexau.workers.process REPORTS`.

Orders come in on stdin, lines go out on stdout, reports to the descriptor REPORTS. It is a run
like any other, whose work comes from elsewhere; it shares nothing with its siblings. When its
parent goes away, however that happens, it cancels what runs and ends.
"""

import os
import pickle
import sys
import time
from collections import deque
from contextlib import ExitStack, nullcontext
from multiprocessing import spawn
from pathlib import Path

import anyio

from nexau.actors._backend import run as run_loop
from nexau.definitions.values import Agent, DefinitionError
from nexau.journal.directory import open_part
from nexau.journal.files import NotWritten
from nexau.logs import configure, copied_to
from nexau.output.sinks import LineSink
from nexau.runs import Run
from nexau.runtime import Runtime, open_runtime
from nexau.secrets.redaction import SECRETS
from nexau.servers import ToolsUnavailable
from nexau.summary import peak_memory_bytes
from nexau.tasks.assignments import Assignment
from nexau.transports.lines import LineWriter, open_lines
from nexau.transports.scoping import background
from nexau.tuning import raise_open_files, tune_gc
from nexau.workers.agentpickle import graders_of, unpickled
from nexau.workers.wire import (
    Begin,
    Cancel,
    Drain,
    Ended,
    Enough,
    Failed,
    Give,
    Order,
    Progress,
    Report,
    Up,
    Want,
    decode_order,
    encode,
    follow,
)

ORDERS, LINES = 0, 1
"""Descriptors."""
TELL_SECONDS = 0.25
AHEAD_SECONDS = 0.02
"""What slots will take in so long is asked for in advance: by then it has come."""
MOST = 1024


class Supply:
    """Work as it comes from the parent; asked for when slots are free, and a little before."""

    def __init__(self, reports: LineWriter) -> None:
        self.run: Run | None = None
        self._reports = reports
        self._ready: deque[Assignment] = deque()
        self._asked = 0
        self._ended = False
        self._wake = anyio.Event()
        self._ended_before = 0
        self._looked = time.perf_counter()
        self._rate = 0.0

    def take(self, assignments: list[Assignment]) -> None:
        self._ready.extend(assignments)
        self._asked -= len(assignments)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def ready(self) -> Assignment | None:
        if not self._ready:
            return None
        assignment = self._ready.popleft()
        ahead = int(self._pace() * AHEAD_SECONDS)
        if len(self._ready) + self._asked <= ahead // 2:
            self._ask(ahead)
        return assignment

    async def next(self) -> Assignment | None:
        while not self._ready:
            if self._ended:
                return None
            idle = self.run.idle if self.run is not None else 1
            self._ask(max(1, idle) + int(self._pace() * AHEAD_SECONDS))
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._ready.popleft()

    async def aclose(self) -> None:
        self._ended = True

    def _ask(self, count: int) -> None:
        """For so many in all."""
        more = min(count, MOST) - len(self._ready) - self._asked
        if more > 0 and not self._ended:
            self._asked += more
            tell(self._reports, Want(more))

    def _pace(self) -> float:
        """Rollouts a second that end here."""
        now = time.perf_counter()
        if self.run is not None and now - self._looked >= AHEAD_SECONDS:
            done = self.run.done
            self._rate = (done - self._ended_before) / (now - self._looked)
            self._ended_before, self._looked = done, now
        return self._rate


def tell(reports: LineWriter, report: Report) -> bool:
    """Whether it went out. Never waits: reports are few, and the parent reads them at once."""
    try:
        reports.write_nowait(encode(report))
    except (anyio.WouldBlock, OSError):
        # Of a parent that is gone, or stuck; the end of its orders tells us.
        return False
    return True


class Work:
    """The run of one worker."""

    def __init__(self, begin: Begin, agent: Agent, reports: LineWriter, supply: Supply) -> None:
        self._begin = begin
        self._agent = agent
        self._reports = reports
        self._supply = supply
        self._run: Run | None = None
        self.scope = anyio.CancelScope()

    def take(self, line: bytes) -> None:
        """One order."""
        order: Order = decode_order(line)
        if isinstance(order, Give):
            self._supply.take(order.assignments)
        elif isinstance(order, Enough):
            self._supply.end()
        elif self._run is None:
            self.scope.cancel()
        elif isinstance(order, Drain):
            self._run.drain(order.grace)
        elif isinstance(order, Cancel):
            self._run.cancel()

    async def follow(self) -> None:
        await follow(ORDERS, self.take)
        # The parent is gone. Nobody is left to read what still runs.
        if self._run is not None:
            self._run.cancel()
        else:
            self.scope.cancel()

    async def all(self, runtime: Runtime, writer: LineWriter) -> None:
        begin = self._begin
        with ExitStack() as kept:
            journal = None
            if begin.out is not None:
                part = open_part(Path(begin.out), begin.number, begin.durability)
                journal = kept.enter_context(part)
            async with runtime.assigned(
                self._agent,
                self._supply,
                concurrency=begin.concurrency,
                seed=begin.seed,
                retries=begin.retries,
                sinks=[LineSink(writer, emits) for emits in begin.emits],
                journal=journal,
                grading=runtime.grading(graders_of(begin.grading)),
            ) as run:
                run.passes.remember = bool(begin.grading)
                await self._attend(run)

    async def _attend(self, run: Run) -> None:
        self._run = self._supply.run = run
        async with background() as helpers:
            helpers.start_soon(self._keep_telling, run)
            await run.wait()
        self._progress(run)

    async def _keep_telling(self, run: Run) -> None:
        while True:
            await anyio.sleep(TELL_SECONDS)
            self._progress(run)

    def _progress(self, run: Run) -> None:
        counts, lag = run.counts()
        scored, run.passes.fresh = run.passes.fresh, []
        report = Progress(counts, lag, len(run.running), peak_memory_bytes(), scored)
        if not tell(self._reports, report):
            run.passes.fresh = scored + run.passes.fresh


async def _work(begin: Begin, lines: int, descriptor: int) -> None:
    async with open_lines(descriptor, linger=0.0) as reports:
        try:
            agent = unpickled(begin.agent, begin.workers)
            work = Work(begin, agent, reports, Supply(reports))
            async with background() as helpers:
                helpers.start_soon(work.follow)
                with work.scope:
                    async with (
                        open_lines(lines) as writer,
                        open_runtime(seed=begin.seed) as runtime,
                    ):
                        await runtime.prepare(agent)
                        tell(reports, Up())
                        await work.all(runtime, writer)
        except* (DefinitionError, ToolsUnavailable, OSError) as group:
            tell(reports, _failure(group))
        tell(reports, Ended())


def _failure(error: BaseException) -> Failed:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, NotWritten):
        return Failed("journal", error.strerror or str(error), error.errno)
    if isinstance(error, OSError):
        return Failed("os", error.strerror or str(error), error.errno)
    return Failed("tools" if isinstance(error, ToolsUnavailable) else "definition", str(error))


def _first_line() -> bytes:
    """Blocking; the orders after it stay in the pipe."""
    line = bytearray()
    while (byte := os.read(ORDERS, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def main() -> None:
    line = _first_line()
    if not line:
        return
    begin = decode_order(line)
    assert isinstance(begin, Begin)
    reports = int(sys.argv[1])
    # What a tool prints, here or in a child, must not come between the lines.
    lines = os.dup(LINES)
    os.dup2(sys.stderr.fileno(), LINES)
    if begin.settings.log_level is not None:
        configure(begin.settings.log_level)
    SECRETS.forms = begin.settings.redact == "all"
    spawn.prepare(pickle.loads(begin.main))
    tune_gc()
    raise_open_files()
    file = begin.settings.log_file
    with copied_to(Path(file)) if file is not None else nullcontext():
        run_loop(_work, begin, lines, reports, backend=begin.settings.backend)


if __name__ == "__main__":
    main()
