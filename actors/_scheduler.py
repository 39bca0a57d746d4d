"""The run queue and the tasks that drain it.

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
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from nexau.actors._backend import Backend, Future
from nexau.actors._envelopes import START, Ask
from nexau.actors._executor import SLICE, Executor, current_executor

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

IDLE, READY, RUNNING, HELD, STOPPING, DEAD = range(6)
STATES = ("idle", "ready", "running", "held", "stopping", "dead")

TURN = 32
"""Messages of one actor before the next actor's turn."""
SPARE = 256
"""Parked workers that are kept; beyond that they end."""
LOOK = 16
"""Messages between two looks of the leader at the clock."""


class Worker(Executor):
    """A pooled task: leader, or in charge of one actor whose handler suspends."""

    __slots__ = ("ask", "assigned", "parked", "root", "scheduler", "scope", "struck")

    def __init__(self, scheduler: "Scheduler") -> None:
        self.scheduler = scheduler
        self.assigned: ActorRef | None = None
        self.parked: Future | None = None
        self.root: ActorRef | None = None
        """The actor whose turn it is, below any that are asked inline."""
        self.ask: Any = None
        """The message in hand."""
        self.scope: anyio.CancelScope
        self.struck = False

    async def run(self) -> None:
        scheduler = self.scheduler
        super().__init__(scheduler.backend.current_task())
        current_executor.set(self)
        self.clean = copy_context()
        scheduler.workers += 1
        try:
            going = True
            while going:
                self.struck = False
                with anyio.CancelScope() as self.scope:
                    going = await self._serve()
        finally:
            scheduler.workers -= 1
            scheduler.left(self)

    def strike(self) -> None:
        """Cancel what it runs."""
        self.struck = True
        self.scope.cancel()

    async def _serve(self) -> bool:
        """Run actors until there is nothing left for this worker; False to end it."""
        scheduler = self.scheduler
        while True:
            cell = self.assigned or scheduler.next(self)
            if cell is None:
                if not await scheduler.park(self):
                    return False
                continue
            self.assigned = None
            if not await self._turn(cell):
                return False
            if self.struck:  # too late for that handler; it must not hit the next
                await anyio.lowlevel.checkpoint()

    async def _turn(  # noqa: C901 - the hot loop: a call for each part costs a fifth of it
        self, cell: "ActorRef"
    ) -> bool:
        """Some messages of one actor; False when the task's context is spoilt."""
        if cell._state != READY:  # stopped, or taken by another, since it was assigned
            return True
        mail = cell._mail
        actor = cell._actor
        if not mail:  # its asker has taken the only message back
            cell._mail = None
            cell._state = IDLE
            return True
        left = TURN
        self.root = cell
        cell._by = self
        cell._state = RUNNING
        while True:
            self.ask = item = mail.popleft()
            try:
                if type(item) is Ask:
                    if not (reply := item.reply).done():
                        answer = await actor.receive(item.message)
                        if not reply.done():
                            reply.set_result(answer)
                elif item is START:
                    await actor.started()
                    cell._came_up()
                else:
                    await actor.receive(item)
            except BaseException as error:
                if cell._worker_failed(self, item, error):
                    self._drop(cell)
                    raise
            left -= 1
            if cell._waiters is not None:
                cell._admit()
            clean = copy_context() == self.clean
            if cell._state != RUNNING:
                cell._released()
            elif not mail:
                cell._mail = None
                cell._state = IDLE
            elif left and clean and not self.struck:
                continue
            else:
                self.scheduler.requeue(cell)
            break
        self.root = self.ask = None
        cell._handled += TURN - left
        self.scheduler.count += TURN - left
        if not clean:
            cell._kind.spoiled()
        elif not cell._kind.inline and self.scheduler.leader is self:
            cell._kind.kept_going()
        return clean

    def _drop(self, cell: "ActorRef") -> None:
        """Leave an actor whose handler was cancelled; the cancellation goes on rising."""
        cell._handled += 1
        self.root = self.ask = None
        if cell._waiters is not None:
            cell._admit()
        cell._leave()


PAUSE = object()
"""In the leader's place while the loop gets its turn."""


class Scheduler:
    """The run queue of one system."""

    __slots__ = (
        "asleep", "backend", "closed", "count", "fatal", "handovers", "leader", "looked", "queue",
        "slice_end", "watching", "workers",
    )  # fmt: skip

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.queue: deque[ActorRef] = deque()
        self.leader: Worker | object | None = None
        """None when the queue is empty: whoever fills it promotes a worker."""
        self.asleep: list[Worker] = []
        self.workers = 0
        self.count = 0
        """Messages that workers handled."""
        self.handovers = 0
        """Times that a leader was found suspended."""
        self.looked = 0
        """`count` when the clock was last looked at."""
        self.slice_end = 0.0
        self.watching = False
        self.closed = False

    def add(self, cell: "ActorRef") -> None:
        """Queue an idle actor that got mail."""
        cell._state = READY
        self.queue.append(cell)
        if self.leader is None:
            self.promote()

    def requeue(self, cell: "ActorRef") -> None:
        """Back to the end of the queue, its turn being over."""
        self.add(cell)

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

    def next(self, worker: Worker) -> "ActorRef | None":
        """The next actor for the leader; None for all others, and when its slice is over."""
        if self.leader is not worker:
            return None
        queue = self.queue
        backend = self.backend
        if not self.watching:
            self.watching = True
            backend.call_soon(self._watch)
            self.slice_end = backend.tick() + SLICE
            self.looked = self.count
        elif self.count - self.looked >= LOOK:
            self.looked = self.count
            if backend.tick() > self.slice_end:
                self.leader = PAUSE  # until the watch, one turn of the loop from now
                return None
        while queue:
            cell = queue.popleft()
            if cell._state != READY:
                continue
            kind = cell._kind
            if kind.hot:
                kind.hot -= 1
                self._wake(cell)
                continue
            return cell
        self.leader = None
        return None

    async def park(self, worker: Worker) -> bool:
        """Wait for work; False to end the worker."""
        if self.closed or len(self.asleep) >= SPARE:
            return False
        worker.parked = parked = self.backend.future()
        self.asleep.append(worker)
        try:
            return bool(await parked)
        except BaseException:
            # A cancellation meant for its last handler came late: it serves on, and must not
            # stand in the list twice.
            if worker in self.asleep:
                self.asleep.remove(worker)
            worker.parked = None
            raise

    def left(self, worker: Worker) -> None:
        """A worker ends: nothing it stood for may be lost."""
        if worker in self.asleep:
            self.asleep.remove(worker)
        if self.leader is worker:
            self.leader = None
        if self.queue and self.leader is None and not self.closed:
            self.promote()

    def _watch(self) -> None:
        """Runs as a callback: a leader that is inside a handler now is suspended there."""
        self.watching = False
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
        asleep, self.asleep = self.asleep, []
        for worker in asleep:
            if worker.parked is not None:
                worker.parked.set_result(False)
