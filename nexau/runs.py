"""Rollouts under way: tasks in, trajectories out in order of completion."""

import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from nexau.actors import Actor, ActorRef, Context, Down
from nexau.group import Group
from nexau.histogram import Buckets, Histogram
from nexau.journal.keeper import Journal
from nexau.journal.segments import Block
from nexau.output.outlets import OpenOutlet, open_outlet
from nexau.output.sinks import Flush, Sink, SinkClosed, Written
from nexau.prepare import Prepared
from nexau.rollout import Slot
from nexau.scoring.judging import UNGRADED, Grading
from nexau.scoring.passk import PassTally
from nexau.subscription import Hub
from nexau.summary import Counts, Summary, Tally
from nexau.tasks.assignments import Assignment, Assignments
from nexau.trajectory import Event, Step, Trajectory


class Runs(Group):
    """Parent of all runs of a runtime; ends a run whose actor failed."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._count = 0

    def start(self, run: "Run") -> ActorRef:
        self._count += 1
        ref = self.context.spawn(partial(RunActor, run), name=f"run-{self._count}")
        self._runs[ref.path] = run
        self.context.monitor(ref)
        return ref

    async def receive(self, message: object) -> None:
        if not isinstance(message, Down):
            self.unhandled(message)
        else:
            self._runs.pop(message.ref.path).over(message.reason)


class RunActor(Actor):
    """Parent of the slots and sinks of one run."""

    def __init__(self, run: "Run") -> None:
        self.run = run

    async def started(self) -> None:
        self.run.begin(self.context)
        self.context.start_soon(self.run.attend, name="attend")

    async def receive(self, message: object) -> None:
        if not isinstance(message, Down):
            self.unhandled(message)
        else:
            self.run.lost(message)


class Run:
    """One stream of rollouts. Iterate over it, or `wait()` where sinks take the trajectories."""

    def __init__(
        self,
        prepared: Prepared,
        assignments: Assignments,
        hub: Hub,
        lag: Histogram,
        *,
        concurrency: int,
        seed: int,
        retries: int,
        sinks: Sequence[Sink],
        grading: Grading = UNGRADED,
        repeat: int = 1,
        journal: Journal | None = None,
    ) -> None:
        self.prepared = prepared
        self.grading = grading
        self.journal = journal
        self.seed = seed
        self.retries = retries
        self.concurrency = concurrency
        self.running: set[Slot] = set()
        self.cancelled = False
        self.wants_events = hub.listened or any(s.emits == "events" for s in sinks)
        self.wants_steps = any(s.emits == "steps" for s in sinks)
        self._hub = hub
        self._lag = lag
        self._sinks = sinks
        self._source = assignments
        self._pulling = anyio.Lock(fast_acquire=True)
        self._waiting = False
        """A slot waits for the source."""
        self._silence: anyio.CancelScope | None = None
        """Around the wait for a task that the source does not have yet."""
        self._closed = False
        self._tally = Tally(repeat)
        self._began = time.perf_counter()
        self._ended: float | None = None
        self._error: Exception | None = None
        self._slots = concurrency
        self._done = anyio.Event()
        self._finished = anyio.Event()
        self._abandoned = False
        """Nobody iterates any more."""
        self._grace: float | None = None
        self._drained = anyio.Event()
        self._outlets: list[OpenOutlet] = []
        self._wants_whole = False
        """Whether a sink wants more of a trajectory than its line."""
        self._out: MemoryObjectSendStream[Trajectory]
        self._in: MemoryObjectReceiveStream[Trajectory]
        self._out, self._in = anyio.create_memory_object_stream[Trajectory](64)

    # What users call.

    def __aiter__(self) -> AsyncIterator[Trajectory]:
        return self

    async def __anext__(self) -> Trajectory:
        """Raises what broke the run (a task that cannot be read, a sink that cannot be written),
        after the rollouts that were under way have ended.
        """
        try:
            return await self._in.receive()
        except anyio.EndOfStream:
            if self._error is not None:
                error, self._error = self._error, None
                raise error from None
            raise StopAsyncIteration from None

    async def wait(self) -> Summary:
        """Until every rollout has ended; trajectories go to the sinks only from here on. Raises as
        iterating does.
        """
        self._abandoned = True
        self._in.close()
        await self._finished.wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self.summary()

    def drain(self, grace: float | None = None) -> None:
        """Starts no more rollouts; cancels those that still run after `grace` seconds, if given."""
        self._admit_no_more()
        if grace is not None and self._grace is None:
            self._grace = grace
            self._drained.set()

    def cancel(self) -> None:
        """Ends all rollouts now; each is sealed as cancelled. In a run that is kept they can be
        gone on with.
        """
        self._admit_no_more()
        self.cancelled = True
        if self.journal is not None:
            self.journal.give_up()
        for slot in list(self.running):
            slot.cut()

    def summary(self) -> Summary:
        ended = self._ended if self._ended is not None else time.perf_counter()
        return self._tally.summary(ended - self._began, self._lag)

    @property
    def done(self) -> int:
        """Trajectories so far."""
        return self._tally.rollouts

    @property
    def failed(self) -> int:
        """Rollouts whose last attempt failed."""
        return self._tally.failed

    @property
    def idle(self) -> int:
        """Slots that wait for work."""
        return self._slots - len(self.running)

    @property
    def passes(self) -> PassTally:
        """The scores so far."""
        return self._tally.passes

    def counts(self) -> tuple[Counts, Buckets]:
        """What has happened so far, and how late the event loop was, for another process."""
        return self._tally.counts(), self._lag.buckets()

    def statistics(self) -> dict[str, Any]:
        seconds = (self._ended or time.perf_counter()) - self._began
        counts = self._tally.statistics()
        kept = {"journal": self.journal.statistics()} if self.journal is not None else {}
        return (
            kept
            | counts
            | {
                "running": len(self.running),
                "concurrency": self.concurrency,
                "seconds": seconds,
                "rollouts_per_second": counts["done"] / seconds if seconds > 0 else 0.0,
                "loop_lag_max": self._lag.maximum,
                "sinks": [outlet.statistics() for outlet in self._outlets],
            }
        )

    # What slots call.

    async def next(self) -> Assignment | None:
        """The next task for a free slot; None when there is none or the run is closing."""
        if not self._waiting and not self._closed:
            assignment = self._source.ready()
            if assignment is not None:
                return assignment
        async with self._pulling:
            if self._closed:
                return None
            assignment = self._source.ready() or await self._pull()
            if assignment is None or self._closed:
                self._closed = True
                return None
        return assignment

    async def _pull(self) -> Assignment | None:
        """None at the end, and where the run closes while the source is silent."""
        self._waiting = True
        with anyio.CancelScope() as self._silence:
            try:
                return await self._source.next()
            except (ValueError, OSError) as error:
                # The tasks cannot be read on: what runs is finished, then the error is raised.
                self._error = error
            finally:
                self._waiting = False
        return None

    def _admit_no_more(self) -> None:
        self._closed = True
        if self._silence is not None:
            self._silence.cancel()

    async def sealed(self, trajectory: Trajectory, place: int) -> None:
        """A trajectory: in a run that is kept, first to the journal, which hands it on."""
        journal = self.journal
        if journal is None or trajectory.status == "cancelled":
            await self._hand_on(trajectory)
            return
        self._tally.add(trajectory)
        if journal.crowded:
            await journal.room()
        journal.seal(place, trajectory, whole=self._wants_whole or not self._abandoned)

    async def _hand_on(self, trajectory: Trajectory) -> None:
        """To every sink that wants it and to whoever iterates."""
        for outlet in self._outlets:
            if outlet.emits == "trajectories":
                await outlet.ref.tell(trajectory)
        self._tally.add(trajectory)
        if not self._abandoned:
            await self._offer(trajectory)

    async def _hand_on_written(self, block: Block) -> None:
        """As `_hand_on`, for trajectories that are in the directory."""
        message = Written(block.data, len(block.trajectories), block.trajectories)
        for outlet in self._outlets:
            if outlet.emits == "trajectories":
                await outlet.ref.tell(message)
        for trajectory in block.trajectories:
            if not self._abandoned and trajectory is not None:
                await self._offer(trajectory)

    async def deliver(self, item: Event | Step) -> None:
        """To every sink that wants it, and events to those who subscribe."""
        kind = "steps" if isinstance(item, Step) else "events"
        for outlet in self._outlets:
            if outlet.emits == kind:
                await outlet.give(item)
        if not isinstance(item, Step):
            await self._hub.publish(item)

    async def _offer(self, trajectory: Trajectory) -> None:
        try:
            self._out.send_nowait(trajectory)
        except anyio.WouldBlock:
            try:
                await self._out.send(trajectory)
            except anyio.BrokenResourceError:
                self._abandoned = True
        except anyio.BrokenResourceError:
            self._abandoned = True

    def slot_done(self) -> None:
        self._slots -= 1
        if not self._slots:
            self._done.set()

    # What the run's actor calls.

    def begin(self, context: Context) -> None:
        """Starts the sinks and slots."""
        self._outlets = [
            open_outlet(context, sink, f"sink-{index + 1}", self._broken)
            for index, sink in enumerate(self._sinks)
        ]
        self._wants_whole = any(
            outlet.emits == "trajectories" and not outlet.actor.takes_lines
            for outlet in self._outlets
        )
        for index in range(self.concurrency):
            context.monitor(context.spawn(partial(Slot, self), name=f"slot-{index + 1}"))

    def lost(self, down: Down) -> None:
        """A slot went down: by a fault of the runtime, unless the run is over."""
        if isinstance(down.reason, Exception) and self._error is None:
            self._error = down.reason
            self._admit_no_more()

    async def attend(self) -> None:
        """Waits for the end, cancels after the grace of a drain, flushes the journal and sinks."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._enforce_grace)
            async with anyio.create_task_group() as keeping:
                if self.journal is not None:
                    keeping.start_soon(self._keep, self.journal)
                await self._done.wait()
                if self.journal is not None:
                    self.journal.finish()
            group.cancel_scope.cancel()
        self._ended = time.perf_counter()
        await self._source.aclose()
        for outlet in self._outlets:
            await outlet.ref.ask(Flush())
        self._out.close()
        self._finished.set()

    async def _keep(self, journal: Journal) -> None:
        try:
            await journal.run(self._hand_on_written)
        except OSError as error:
            if self._error is None:
                self._error = error
            self.cancel()

    def over(self, reason: BaseException | None) -> None:
        """The run's actor has ended. Without a reason the run had ended before."""
        if isinstance(reason, Exception) and self._error is None:
            self._error = reason
        self.cancel()
        self._out.close()
        self._finished.set()

    async def close(self) -> None:
        """Ends what still runs and waits until every trajectory is with the sinks."""
        self._abandoned = True
        self._in.close()
        self.cancel()
        await self._finished.wait()

    async def _enforce_grace(self) -> None:
        await self._drained.wait()
        assert self._grace is not None
        await anyio.sleep(self._grace)
        self.cancel()

    def _broken(self, error: Exception) -> None:
        """A sink cannot be written: a reader that has gone ends the run, a fault also fails it."""
        if not isinstance(error, SinkClosed | BrokenPipeError) and self._error is None:
            self._error = error
        self.cancel()
