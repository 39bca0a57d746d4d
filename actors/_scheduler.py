"""The run queue of a system, and who drains it.

One *leader* task takes actors off the queue and awaits their handlers, so that a handler runs
whole inside one real task and an idle actor needs none. A callback, one a loop turn while there is
work, notices that the leader still holds the queue: a callback runs only when every task is
suspended, so the leader is suspended inside a handler. Then a follower takes the queue over, and
the handler's class is noted, so that its next messages go to pooled workers at once instead of
holding the queue up one after the other. (Driving the coroutines by hand with `send` was measured
too: a handler's first step then runs outside its task, which breaks cancel scopes, and a handler
that suspends costs four times as much.)
"""

from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from nexau.actors._backend import Backend, Future
from nexau.actors._executor import Executor
from nexau.actors._states import READY
from nexau.actors._worker import Worker

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

SLICE = 0.0008
"""Seconds of a loop turn for the leader, and for whoever tells or asks without suspending."""
LOOK = 16
"""Messages, handled or told, between two looks at the clock."""
SPARE = 256
"""Parked workers that are kept for good."""
KEEP = 1.0
"""Seconds after which parked workers beyond those end, if nobody needed them."""
BATCH = 64
"""Workers that end in one turn of the loop: each costs some 10 us."""

PAUSE = object()
"""In the leader's place while the loop gets its turn."""


class Scheduler:
    """The run queue of one system."""

    __slots__ = (
        "asker", "asking", "asleep", "backend", "clean", "closed", "count", "future", "handovers",
        "leader", "limit", "period", "queue", "slice_end", "tasks", "tasks_key", "tells",
        "trimmer", "watching", "workers",
    )  # fmt: skip

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.future = backend.future
        self.tasks = backend.tasks
        self.tasks_key = backend.tasks_key
        self.queue: deque[ActorRef] = deque()
        self.leader: Worker | object | None = None
        """None when the queue is empty: whoever fills it promotes a worker."""
        self.asleep: list[Worker] = []
        """Parked workers, the longest parked first."""
        self.workers = 0
        self.count = 0
        """Messages that workers handled."""
        self.limit = 0
        """The `count` at which the leader looks at the clock. Above `count` only while a watch is
        due, so whoever runs handlers is watched."""
        self.tells = 0
        """Tells until whoever tells has to look."""
        self.handovers = 0
        """Times that a leader was found suspended."""
        self.slice_end = 0.0
        self.watching = False
        self.closed = False
        self.period = 0
        self.trimmer: anyio.CancelScope | None = None
        self.asking: Any = None
        """The task that asked last: looking its record up costs as much as the rest of an ask."""
        self.asker: Executor
        """Its record."""
        self.clean: Context | None = None
        """Its context with nothing changed; None if handlers here must not see it."""

    def add(self, cell: "ActorRef") -> None:
        """Queue an idle actor that got mail, or one whose turn is over."""
        cell._state = READY
        self.queue.append(cell)
        if self.leader is None:
            self.promote()

    def promote(self) -> None:
        self.leader = self._wake(None)

    def _wake(self, assigned: "ActorRef | None") -> Worker:
        if self.asleep:
            worker = self.asleep.pop()
            worker.assigned = assigned
            parked = worker.parked
            worker.parked = None
            assert parked is not None
            parked.set_result(True)
        else:
            worker = Worker(self)
            worker.assigned = assigned
            self.backend.spawn(worker.run)
        return worker

    def hand_over(self, cell: "ActorRef") -> None:
        """Give an actor whose class suspends to a worker of its own."""
        if cell._state == READY:
            cell._kind.hot -= 1
            self._wake(cell)

    def keeps(self, worker: Worker) -> bool:
        """Whether the worker stays leader: there is work, and its slice is not over."""
        if self.leader is not worker:
            return False
        if not self.queue:
            self.leader = None
            return False
        if self.look():
            return True
        self.leader = PAUSE  # until the watch, one turn of the loop from now
        return False

    def look(self) -> bool:
        """Look at the clock: False when this turn of the loop has had its slice."""
        if not self.watching:
            self.watching = True
            self.backend.call_soon(self._watch)
            self.slice_end = self.backend.tick() + SLICE
        elif self.backend.tick() > self.slice_end:
            return False
        self.limit = self.count + LOOK
        self.tells = LOOK
        return True

    def overdue(self) -> bool:
        """Whether a task that tells or asks has to give the loop its turn."""
        if self.look():
            return False
        leader = self.leader
        if isinstance(leader, Worker) and leader.root is not None:
            # It may be the leader's handler that tells: suspended here, its class would count as
            # one that suspends. So the leader pauses after it, if that comes soon enough.
            self.limit = 0
            self.tells = LOOK
            return self.backend.tick() > self.slice_end + SLICE / 2
        return True

    def park(self, worker: Worker) -> Future:
        """What the worker waits for; its result is False to end it."""
        worker.parked = parked = self.future()
        if self.closed:
            parked.set_result(False)
            return parked
        asleep = self.asleep
        if len(asleep) >= SPARE and self.trimmer is None:
            self.trimmer = anyio.CancelScope()
            self.backend.spawn(self._trim, self.trimmer)
        worker.since = self.period
        asleep.append(worker)
        return parked

    def unpark(self, worker: Worker) -> None:
        """A cancellation meant for its last handler came late: it serves on, and must not stand in
        the list twice."""
        if worker in self.asleep:
            self.asleep.remove(worker)
        worker.parked = None

    async def _trim(self, scope: anyio.CancelScope) -> None:
        """Runs while more than SPARE workers are parked, and ends those that were not needed for
        a whole period. Workers are woken last in, first out, so the idlest come first."""
        asleep = self.asleep
        with scope:
            while len(asleep) > SPARE:
                self.period += 1
                await anyio.sleep(KEEP)
                while len(asleep) > SPARE and asleep[0].since < self.period:
                    idlest = asleep[: min(BATCH, len(asleep) - SPARE)]
                    del asleep[: len(idlest)]
                    for worker in idlest:
                        self._dismiss(worker)
                    await anyio.lowlevel.checkpoint()
        self.trimmer = None

    def _dismiss(self, worker: Worker) -> None:
        parked, worker.parked = worker.parked, None
        if parked is not None:
            parked.set_result(False)

    def left(self, worker: Worker) -> None:
        """A worker ends: nothing it stood for may be lost."""
        self.unpark(worker)
        self.forget(worker.task())
        if self.leader is worker:
            self.leader = None
        if self.queue and self.leader is None and not self.closed:
            self.promote()

    def forget(self, task: Any) -> None:
        """A task has ended: it must not live on as the one that asked last."""
        if task is not None and self.asking is task:
            self.asking = self.clean = None

    def _watch(self) -> None:
        """Runs as a callback: a leader that is inside a handler now is suspended there."""
        self.watching = False
        self.limit = 0
        leader = self.leader
        if isinstance(leader, Worker):
            if leader.root is None:  # woken, but not yet run
                return
            leader.root._kind.suspended()
            self.handovers += 1
        self.leader = None
        if self.queue:
            self.promote()

    def close(self) -> None:
        """End the workers. Only once nothing is left to run."""
        self.closed = True
        if self.trimmer is not None:
            self.trimmer.cancel()
        asleep, self.asleep = self.asleep, []
        for worker in asleep:
            self._dismiss(worker)
        self.asking = self.clean = None
