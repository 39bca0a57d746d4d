"""The pooled tasks that run handlers."""

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from nexau.actors._backend import Future
from nexau.actors._envelopes import NOTHING, START, Ask
from nexau.actors._executor import Executor, current_executor
from nexau.actors._states import IDLE, READY, RUNNING

if TYPE_CHECKING:
    from nexau.actors._scheduler import Scheduler
    from nexau.actors.ref import ActorRef

TURN = 32
"""Messages of one actor before the next actor's turn."""


class Worker(Executor):
    """A pooled task: leader, or in charge of one actor whose handler suspends."""

    __slots__ = ("ask", "assigned", "parked", "root", "scheduler", "scope", "since", "struck")

    def __init__(self, scheduler: "Scheduler") -> None:
        self.scheduler = scheduler
        self.assigned: ActorRef | None = None
        self.parked: Future | None = None
        self.since = 0
        """The period in which it was parked."""
        self.root: ActorRef | None = None
        """The actor whose turn it is, below any that are asked inline; None while it parks."""
        self.ask: Any = None
        """The message in hand."""
        self.scope: anyio.CancelScope
        self.struck = False

    async def run(self) -> None:
        scheduler = self.scheduler
        backend = scheduler.backend
        super().__init__(backend.current_task(), backend.context)
        current_executor.set(self)
        self.clean = copy_context()
        scheduler.workers += 1
        try:
            going = True
            while going:
                self.struck = False
                with anyio.CancelScope() as self.scope:
                    try:
                        going = await self._serve()
                    finally:
                        if self.parked is not None:
                            scheduler.unpark(self)
        finally:
            self.root = self.ask = None
            scheduler.workers -= 1
            scheduler.left(self)

    def strike(self) -> None:
        """Cancel what it runs."""
        self.struck = True
        self.scope.cancel()

    async def _serve(  # noqa: C901 - the hot loop: a call for each part costs a third of it
        self,
    ) -> bool:
        """Run actors until there is nothing left for this worker; False to end it."""
        scheduler = self.scheduler
        queue = scheduler.queue
        clean = self.clean
        while True:
            cell = self.assigned
            if cell is not None:
                self.assigned = None
            elif queue and scheduler.leader is self and scheduler.count < scheduler.limit:
                cell = queue.popleft()
                if cell._kind.hot:
                    scheduler.hand_over(cell)
                    continue
            else:
                # Parked, it must not keep the last actor, message or answer alive.
                actor = item = reply = answer = mail = self.root = self.ask = None
                if scheduler.keeps(self) or await scheduler.park(self):
                    continue
                return False
            if cell._state != READY:  # stopped, or taken by another, since it was queued
                continue
            item = cell._letter
            if item is not NOTHING:
                cell._letter = NOTHING
            elif cell._mail:
                item = cell._mail.popleft()
            else:  # its asker has taken the only message back
                cell._mail = None
                cell._state = IDLE
                continue
            left = TURN
            self.root = cell
            cell._by = self
            cell._state = RUNNING
            actor = cell._actor
            while True:
                self.ask = item
                if cell._waiters is not None:  # now there is room, before anyone else comes
                    cell._admit()
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
                spoilt = copy_context() != clean
                mail = cell._mail
                if cell._state != RUNNING:
                    cell._released()
                elif not mail:
                    cell._mail = None
                    cell._state = IDLE
                elif left and not spoilt and not self.struck:
                    item = mail.popleft()
                    continue
                else:
                    scheduler.add(cell)
                break
            done = TURN - left
            cell._handled += done
            scheduler.count += done
            if spoilt:
                cell._kind.spoiled()
                return False
            if not cell._kind.inline and scheduler.leader is self:
                cell._kind.kept_going()
            if self.struck:  # too late for that handler; it must not hit the next
                self.root = self.ask = None
                await anyio.lowlevel.checkpoint()

    def _drop(self, cell: "ActorRef") -> None:
        """Leave an actor whose handler was cancelled; the cancellation goes on rising."""
        cell._handled += 1
        self.root = self.ask = None
        cell._leave()
