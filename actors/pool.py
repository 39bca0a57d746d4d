"""Pools: many like workers behind one address, so that a tool serves many calls at once while
every actor still takes one message at a time."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from nexau.actors._backend import Future
from nexau.actors._envelopes import Ask, Unattended
from nexau.actors._executor import Executor
from nexau.actors._states import STOPPING
from nexau.actors.actor import Actor
from nexau.actors.errors import AskTimeout, MailboxFull
from nexau.actors.ref import ActorRef
from nexau.actors.specs import Policy

if TYPE_CHECKING:
    from nexau.actors.system import ActorSystem


class PoolStatistics(Struct, frozen=True):
    """One pool, now."""

    path: str
    size: int
    busy: int
    idle: int
    """Started and free; workers that were never needed do not exist."""
    waiting: int
    """Calls that wait for a worker."""
    served: int
    crashed: int
    """Workers that were replaced."""


class Pool(Actor):
    """The pool's own actor: it only owns the workers."""

    __slots__ = ()


class _Release(Unattended):
    """Takes the place of a reply where nobody waits for one: frees the worker."""

    __slots__ = ("pool", "worker")

    def __init__(self, pool: "PoolRef", worker: ActorRef) -> None:
        self.pool = pool
        self.worker = worker

    def done(self) -> bool:
        return False

    def set_result(self, _value: Any, /) -> None:
        self.pool._release(self.worker)

    def __await__(self) -> Any:
        raise NotImplementedError


class PoolRef(ActorRef):
    """The address of a pool."""

    __slots__ = ("_busy", "_crashed", "_idle", "_queue", "_served", "_size", "_started", "_worker")

    def __init__(
        self,
        system: "ActorSystem",
        parent: ActorRef | None,
        name: str | int,
        factory: Callable[[], Actor],
        policy: Policy,
    ) -> None:
        super().__init__(system, parent, name, factory, policy)
        self._idle: list[ActorRef] = []
        self._queue: deque[Any] = deque()
        self._busy = 0
        self._started = 0
        self._served = 0
        self._crashed = 0
        self._size = 1
        self._worker: Callable[[], Actor]

    def statistics(self) -> PoolStatistics:  # type: ignore[override]
        return PoolStatistics(
            path=self.path,
            size=self._size,
            busy=self._busy,
            idle=len(self._idle),
            waiting=len(self._queue),
            served=self._served,
            crashed=self._crashed,
        )

    async def ask(self, message: Any, timeout: float | None = None) -> Any:
        """As `ActorRef.ask`, of the next free worker."""
        if timeout is not None:
            with anyio.move_on_after(timeout):
                return await self.ask(message)
            raise AskTimeout(self.path, timeout)
        executor = self._executor()
        if executor.fuel <= 1:  # if it has to give way, then not with a worker in its hands
            executor = await self._refuel(executor)
        worker = self._take()
        if worker is None:
            worker = await self._wait_for_worker(message, executor)
        try:
            return await worker.ask(message)
        finally:
            self._release(worker)

    def tell_nowait(self, message: Any) -> None:
        """As `ActorRef.tell_nowait`; full means `mailbox` calls waiting for a worker."""
        worker = self._take()
        if worker is not None:
            worker._post(Ask(message, _Release(self, worker)))
        elif self._state >= STOPPING:
            self._post(message)
        elif len(self._queue) >= self._policy.mailbox:
            raise MailboxFull(self.path)
        else:
            self._queue.append(message)

    async def tell(self, message: Any) -> None:
        """As `ActorRef.tell`."""
        worker = self._take()
        if worker is None and self._state < STOPPING and len(self._queue) >= self._policy.mailbox:
            worker = await self._wait_for_worker(message, self._executor())
        if worker is not None:
            worker._post(Ask(message, _Release(self, worker)))
        else:
            self.tell_nowait(message)

    def _take(self) -> ActorRef | None:
        """A free worker: an idle one, or a new one while there may be more."""
        while self._idle:
            worker = self._idle.pop()
            if worker._state < STOPPING:
                self._busy += 1
                return worker
            self._lost()
        if self._started < self._size and self._state < STOPPING:
            worker = self._system._spawn_child(self, self._worker, mailbox=self._policy.mailbox)
            self._started += 1
            self._busy += 1
            return worker
        return None

    def _lost(self) -> None:
        self._started -= 1
        self._crashed += 1

    def _release(self, worker: ActorRef) -> None:
        """A worker's call is over: on to the next call, or idle."""
        self._busy -= 1
        self._served += 1
        queue = self._queue
        if worker._state >= STOPPING:
            self._lost()
        elif queue and type(item := queue[0]) is _Turn and not item.future.done():
            queue.popleft()
            self._busy += 1
            item.given = worker
            item.future.set_result(worker)
            return
        else:
            self._idle.append(worker)
        while queue and (free := self._take()) is not None:
            item = queue.popleft()
            if type(item) is not _Turn:
                free._post(Ask(item, _Release(self, free)))
            elif item.future.done():
                self._busy -= 1
                self._idle.append(free)
            else:
                item.given = free
                item.future.set_result(free)

    async def _wait_for_worker(self, message: Any, executor: Executor) -> ActorRef:
        """Raises `ActorStopped` when the pool ends first."""
        if self._state >= STOPPING:
            await super().ask(message)  # raises
        self._check_circle(executor)
        turn = _Turn(self._system._backend.future())
        self._queue.append(turn)
        executor.waiting = self
        try:
            worker: ActorRef | None = await turn.future
        except BaseException:
            if turn in self._queue:
                self._queue.remove(turn)
            elif turn.given is not None:
                self._release(turn.given)
            raise
        finally:
            executor.waiting = None
        if worker is None:
            await super().ask(message)  # raises
        assert worker is not None
        return worker

    def _waits_for(self, executor: Executor, seen: set[ActorRef]) -> list[str] | None:
        """A pool is stuck when all its workers are; one that waits for the pool itself is."""
        if self in seen:
            return [self.path]
        seen.add(self)
        if self._idle or self._started < self._size or self._family is None:
            return None
        found: list[str] | None = None
        for worker in self._family.children.values():
            if worker._state >= STOPPING:
                continue
            rest = worker._waits_for(executor, seen)
            if rest is None:
                return None
            found = found or rest
        return [self.path, *(found or ())]

    def _closing(self) -> None:
        """Fail the calls that wait."""
        queue, self._queue = self._queue, deque()
        for item in queue:
            if type(item) is not _Turn:
                self._post(item)
            elif not item.future.done():
                item.future.set_result(None)


class _Turn:
    """A call that waits for a worker."""

    __slots__ = ("future", "given")

    def __init__(self, future: Future) -> None:
        self.future = future
        self.given: ActorRef | None = None
