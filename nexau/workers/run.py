"""A run in several processes: one runtime for each, sharing nothing, their lines merged.

    async with open_workers("agent.yaml", "tasks.jsonl", workers=4) as run:
        async for trajectory in run:
            ...

The parent reads the tasks, and gives each worker as many as it has slots free (and a little more,
where rollouts are so short that asking would take longer than running). It gives the workers' lines
to the sinks as they come.
"""

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from nexau.definitions.values import DefinitionError
from nexau.histogram import Histogram
from nexau.journal.files import NotWritten
from nexau.journal.keeper import Journal
from nexau.journal.segments import Block
from nexau.output.sinks import SinkClosed
from nexau.scoring.passk import PassTally
from nexau.servers import ToolsUnavailable
from nexau.summary import Summary, Tally, peak_memory_bytes
from nexau.tasks.assignments import Assignments
from nexau.trajectory import Trajectory
from nexau.workers.merging import Merging
from nexau.workers.parent import WorkerProcess
from nexau.workers.wire import (
    Begin,
    Cancel,
    Drain,
    Enough,
    Failed,
    Order,
    Progress,
    Report,
    Up,
    Want,
)

GIVEN_AT_ONCE = 256


class WorkerDied(Exception):
    """A worker process ended before its time; its rollouts are lost."""


class WorkersRun:
    """A run in several processes. Used as `Run` is; made by `open_workers`."""

    def __init__(
        self,
        assignments: Assignments,
        concurrency: int,
        repeat: int = 1,
    ) -> None:
        self.merging: Merging | None = None
        """The sinks; None where trajectories are iterated over."""
        self.journal: Journal | None = None
        """Of the tasks that were given out, in a run that is kept."""
        self._kept = anyio.Event()
        """Nothing more is written to it."""
        self._stopping = False
        self._passes = PassTally(repeat)
        self.concurrency = concurrency
        self._assignments = assignments
        self._workers: list[WorkerProcess] = []
        self._running: set[WorkerProcess] = set()
        self._progress: dict[WorkerProcess, Progress] = {}
        self._waiting_up = 0
        self._up = anyio.Event()
        self._wanted = anyio.Event()
        self._closed = False
        self._silence: anyio.CancelScope | None = None
        self._error: Exception | None = None
        self._gone = anyio.Event()
        """No worker is left."""
        self._finished = anyio.Event()
        self._began = time.perf_counter()
        self._ended: float | None = None
        self._decode = msgspec.json.Decoder(Trajectory).decode
        self._out: MemoryObjectSendStream[Trajectory]
        self._in: MemoryObjectReceiveStream[Trajectory]
        self._out, self._in = anyio.create_memory_object_stream[Trajectory](64)

    # What users call.

    def __aiter__(self) -> AsyncIterator[Trajectory]:
        return self

    async def __anext__(self) -> Trajectory:
        """As `Run.__anext__`; where there are sinks there is nothing to iterate over."""
        try:
            return await self._in.receive()
        except anyio.EndOfStream:
            self._raise()
            raise StopAsyncIteration from None

    async def wait(self) -> Summary:
        """Until every rollout has ended. Raises as iterating does, and `WorkerDied`."""
        self._in.close()
        await self._finished.wait()
        self._raise()
        return self.summary()

    def drain(self, grace: float | None = None) -> None:
        """As `Run.drain`."""
        self._stopping = True
        self._give_up_at_the_end()
        self._admit_no_more()
        self._order(Drain(grace))

    def cancel(self) -> None:
        """As `Run.cancel`."""
        self._stopping = True
        self._give_up_at_the_end()
        self._admit_no_more()
        self._order(Cancel())

    def summary(self) -> Summary:
        """Of all workers; seconds are those of the whole."""
        tally, lag = self._tally()
        memory = peak_memory_bytes() + sum(p.memory for p in self._progress.values())
        return tally.summary(self._seconds(), lag, memory)

    @property
    def failed(self) -> int:
        """Rollouts whose last attempt failed."""
        return self._tally()[0].failed

    def statistics(self) -> dict[str, Any]:
        tally, lag = self._tally()
        counts = tally.statistics()
        seconds = self._seconds()
        return counts | {
            "running": sum(p.running for p in self._progress.values()),
            "concurrency": self.concurrency,
            "workers": len(self._workers),
            "seconds": seconds,
            "rollouts_per_second": counts["done"] / seconds if seconds > 0 else 0.0,
            "loop_lag_max": lag.maximum,
            "sinks": self.merging.statistics() if self.merging is not None else [],
        }

    def _tally(self) -> tuple[Tally, Histogram]:
        tally, lag = Tally(), Histogram()
        tally.passes = self._passes
        for progress in self._progress.values():
            tally.merge(progress.counts)
            lag.merge(progress.lag)
        return tally, lag

    def _seconds(self) -> float:
        return (self._ended or time.perf_counter()) - self._began

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _give_up_at_the_end(self) -> None:
        """A run that is being stopped does not wait for room, once its workers are gone; whether
        the one comes first or the other.
        """
        if self._stopping and self._gone.is_set() and self.journal is not None:
            self.journal.give_up()

    def _order(self, order: Order) -> None:
        for worker in self._workers:
            worker.order(order)

    def _admit_no_more(self) -> None:
        self._closed = True
        self._wanted.set()
        if self._silence is not None:
            self._silence.cancel()

    def _fail(self, error: Exception) -> None:
        """What runs is finished, then the error is raised."""
        if self._error is None:
            self._error = error
        self._admit_no_more()

    # What worker processes call.

    def heard(self, worker: WorkerProcess, report: Report) -> None:
        if isinstance(report, Want):
            worker.wanted += report.count
            self._wanted.set()
        elif isinstance(report, Progress):
            self._progress[worker] = report
            for task, reward in report.scored:
                self._passes.score(task, reward)
        elif isinstance(report, Up):
            self._waiting_up -= 1
            if not self._waiting_up:
                self._up.set()
        elif isinstance(report, Failed):
            self._fail(_error(report))
            self._up.set()

    async def take(self, lines: bytes) -> None:
        if self.merging is not None:
            await self.merging.take(lines.split(b"\n"))
            return
        for line in lines.split(b"\n"):
            await self._offer(self._decode(line))

    async def _offer(self, trajectory: Trajectory) -> None:
        try:
            await self._out.send(trajectory)
        except anyio.BrokenResourceError:
            return  # nobody iterates any more

    def gone(self, worker: WorkerProcess, fault: str | None) -> None:
        self._running.discard(worker)
        worker.wanted = 0
        if fault is not None:
            text = f"worker {worker.number} {fault}; the rollouts that it ran are lost"
            self._fail(WorkerDied(text))
            self._up.set()
        if not self._running:
            self._ended = time.perf_counter()
            self._gone.set()
            self._admit_no_more()

    # What `open_workers` calls.

    def broken(self, error: Exception) -> None:
        """A sink cannot be written: as in one process, a reader that has gone ends the run, a
        fault also fails it.
        """
        if not isinstance(error, SinkClosed | BrokenPipeError):
            self._fail(error)
        self.cancel()

    async def attend(self) -> None:
        """Ends the run when no worker is left and the sinks have it all."""
        await self._gone.wait()
        if self.merging is not None:
            await self.merging.flush()
        if self.journal is not None:
            self._give_up_at_the_end()
            self.journal.finish()
            await self._kept.wait()
        self._out.close()
        self._finished.set()

    async def keep(self, journal: Journal) -> None:
        """Writes down which tasks were given out; the workers keep what comes of them."""
        try:
            await journal.run(_nothing)
        except OSError as error:
            self._fail(error)
            self.cancel()
        finally:
            self._kept.set()

    async def start(self, tasks: Any, begins: list[Begin]) -> None:
        """Returns once all can work. Raises what keeps one from it."""
        self._workers = [WorkerProcess(i + 1, self) for i in range(len(begins))]
        self._running = set(self._workers)
        self._waiting_up = len(begins)
        for worker, begin in zip(self._workers, begins, strict=True):
            tasks.start_soon(worker.run, begin)
        await self._up.wait()
        self._raise()
        self._began = time.perf_counter()
        tasks.start_soon(self._dispatch)

    async def _dispatch(self) -> None:
        """Gives out work, to those with free slots in turn, until there is none."""
        turn = given = 0
        while not self._closed:
            worker = self._next_worker(turn)
            if worker is None or given == GIVEN_AT_ONCE:
                given = 0
                await self._give()
            if worker is None:
                self._wanted = anyio.Event()
                if self._next_worker(turn) is None:
                    await self._wanted.wait()
                continue
            assignment = self._assignments.ready()
            if assignment is None:
                await self._give()
                assignment = await self._pull()
            if assignment is None:
                break
            worker.batch.append(assignment)
            worker.wanted -= 1
            given += 1
            turn = worker.number
        await self._give()
        self._order(Enough())
        await self._assignments.aclose()

    def _next_worker(self, turn: int) -> WorkerProcess | None:
        workers = self._workers
        for worker in (*workers[turn:], *workers[:turn]):
            if worker.wanted > 0:
                return worker
        return None

    async def _give(self) -> None:
        for worker in self._workers:
            await worker.give()

    async def _pull(self) -> Any:
        with anyio.CancelScope() as self._silence:
            try:
                return await self._assignments.next()
            except (ValueError, OSError) as error:
                self._fail(error)
        return None


async def _nothing(block: Block) -> None:
    """Trajectories are the workers'."""


def _error(failed: Failed) -> Exception:
    if failed.kind == "journal":
        return NotWritten(failed.number or 0, failed.message)
    if failed.kind == "os":
        return OSError(failed.number or 0, failed.message)
    return (ToolsUnavailable if failed.kind == "tools" else DefinitionError)(failed.message)
