"""`ActorRef`: an actor's address and, behind it, all that the kernel keeps of an idle actor.

One slotted object: no task, no deque, no record for what most actors never use.
"""

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from nexau.actors import _lifecycle as lifecycle
from nexau.actors._cell import came_up, gone, mail_count, ready, reject, stopped_error
from nexau.actors._envelopes import NOTHING, Ask, Failure, Waiting
from nexau.actors._executor import FEW, FUEL, Executor, adopt, current_executor
from nexau.actors._family import Extra, Family
from nexau.actors._kind import Kind
from nexau.actors._outcome import inline_failed, worker_failed
from nexau.actors._room import abandon, admit, line, wait_for_room
from nexau.actors._states import IDLE, READY, RUNNING, STATES, STOPPING
from nexau.actors._worker import Worker
from nexau.actors.errors import ActorError, AskTimeout, Deadlock, Killed, MailboxFull
from nexau.actors.specs import Policy

if TYPE_CHECKING:
    from nexau.actors.actor import Actor
    from nexau.actors.system import ActorSystem

DEPTH = 32
"""Handlers that may stand on one task's stack; a longer chain goes on in another task."""


class ActorStatistics(Struct, frozen=True):
    """One actor, now."""

    path: str
    state: str
    mailbox: int
    """Messages waiting in the mailbox."""
    capacity: int
    waiting: int
    """Senders waiting for room."""
    handled: int
    restarts: int
    children: int


class ActorRef:
    """The address of an actor. It stays the same through restarts."""

    __slots__ = (
        "__weakref__", "_actor", "_by", "_extra", "_factory", "_family", "_handled", "_kind",
        "_letter", "_mail", "_name", "_parent", "_policy", "_state", "_system", "_waiters",
    )  # fmt: skip

    _actor: "Actor"
    _kind: Kind

    def __init__(
        self,
        system: "ActorSystem",
        parent: "ActorRef | None",
        name: str | int,
        factory: "Callable[[], Actor]",
        policy: Policy,
    ) -> None:
        self._system = system
        self._parent = parent
        self._name = name
        self._factory = factory
        self._policy = policy
        self._state = IDLE
        self._letter: Any = NOTHING
        """The one message of an actor on the run queue. Only a second one makes a deque of them."""
        self._mail: deque[Any] | None = None
        self._waiters: deque[Waiting] | None = None
        self._by: Executor | None = None
        self._family: Family | None = None
        self._extra: Extra | None = None
        self._handled = 0

    # -- who it is

    @property
    def name(self) -> str:
        name = self._name
        return name if isinstance(name, str) else f"${name}"

    @property
    def path(self) -> str:
        """`/system/parent/name`; a child that was given no name is called `$n`."""
        above = self._parent.path if self._parent is not None else ""
        return f"{above}/{self.name}"

    @property
    def alive(self) -> bool:
        """False once it stops; true while it is restarted."""
        return self._state < STOPPING

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} {STATES[self._state]}>"

    def statistics(self) -> ActorStatistics:
        return ActorStatistics(
            path=self.path,
            state=STATES[self._state],
            mailbox=mail_count(self),
            capacity=self._policy.mailbox,
            waiting=len(self._waiters) if self._waiters is not None else 0,
            handled=self._handled,
            restarts=self._extra.restarts if self._extra is not None else 0,
            children=len(self._family.children) if self._family is not None else 0,
        )

    # -- sending

    def tell_nowait(self, message: Any) -> None:
        """Send. Raises `MailboxFull`; an actor that has ended makes it a dead letter."""
        if mail_count(self) >= self._policy.mailbox:
            raise MailboxFull(self.path)
        self._post(message)

    async def tell(self, message: Any) -> None:
        """Send, once there is room. Raises `Deadlock` where that could never be."""
        scheduler = self._kind.scheduler
        left = scheduler.tells
        scheduler.tells = left - 1
        if left <= 0 and scheduler.overdue():
            await scheduler.backend.turn()
        if not self._state:
            self._letter = message
            self._state = READY
            scheduler.queue.append(self)
            if scheduler.leader is None:
                scheduler.promote()
        elif (mail := self._mail) is not None and len(mail) < self._policy.mailbox:
            mail.append(message)
        elif mail_count(self) < self._policy.mailbox:
            self._post(message)
        else:
            await wait_for_room(self, message)

    def tell_from_thread(self, message: Any) -> None:
        """Send from any thread. Beyond the mailbox's bound it becomes a dead letter."""
        self._system._backend.call_threadsafe(lambda: self._tell_or_drop(message))

    def _tell_or_drop(self, message: Any) -> None:
        try:
            self.tell_nowait(message)
        except MailboxFull as full:
            self._system._dead_letter(message, self, full)

    def _post(self, item: Any) -> None:
        mail = self._mail
        state = self._state
        if mail is not None:
            mail.append(item)
        elif state == IDLE:
            self._letter = item
            self._state = READY
            scheduler = self._kind.scheduler
            scheduler.queue.append(self)
            if scheduler.leader is None:
                scheduler.promote()
        elif state == READY:
            letter, self._letter = self._letter, NOTHING
            self._mail = deque((item,) if letter is NOTHING else (letter, item))
        elif state < STOPPING:
            self._mail = deque((item,))
        else:
            reject(self, item)

    # -- asking

    async def ask(self, message: Any, timeout: float | None = None) -> Any:
        """Send and wait for the answer. `timeout` in seconds.

        Raises `AskTimeout`, `ActorStopped`, `Deadlock`, or what the handler raised.
        """
        if timeout is not None:
            return await self._ask_within(message, timeout)
        kind = self._kind
        scheduler = kind.scheduler
        if scheduler.asking is scheduler.tasks[scheduler.tasks_key]:
            executor = scheduler.asker
        else:
            executor = self._executor()
        fuel = executor.fuel
        executor.fuel = fuel - 1
        if fuel <= 0:
            executor = await self._refuel(executor)
        depth = executor.depth
        if self._state or not kind.inline or depth >= DEPTH or copy_context() != scheduler.clean:
            return await self._answer(executor, self._enqueue(message, executor))
        self._state = RUNNING
        self._by = executor
        executor.depth = depth + 1
        try:
            answer = await self._actor.receive(message)
        except BaseException as error:
            executor.depth = depth
            failure = inline_failed(self, executor, message, error)
            if failure is None:
                raise
            if not isinstance(failure, Ask):
                try:
                    raise failure from error
                finally:  # the error holds this frame, which must not hold the error
                    del failure
        else:
            executor.depth = depth
            self._handled += 1
            if self._state == RUNNING and self._mail is None:
                self._state = IDLE
                return answer
            return await self._inline_done(executor, answer)
        return await self._answer(executor, failure)

    async def _answer(self, executor: Executor, item: Ask) -> Any:
        """Wait for the answer to a message that is in the mailbox."""
        executor.waiting = self
        try:
            answer = await item.reply
        except BaseException:
            abandon(self, item)
            raise
        finally:
            executor.waiting = None
        if type(answer) is not Failure:
            return answer
        try:
            raise answer.error
        finally:
            del item, answer

    def _executor(self) -> Executor:
        """The record of the current task, which is the one that asks now."""
        scheduler = self._kind.scheduler
        task = scheduler.tasks[scheduler.tasks_key]
        executor = current_executor.get()
        backend = scheduler.backend
        if executor is None or executor.task() is not task:
            executor = adopt(task, backend.context)
            backend.when_done(task, scheduler.forget)
        scheduler.asking = task
        scheduler.asker = executor
        # Of another system's: it may have been opened elsewhere.
        same = executor.base is backend.context or executor.base == backend.context
        scheduler.clean = executor.clean if same else None
        return executor

    async def _refuel(self, executor: Executor) -> Executor:
        """Asks that never suspend must not hold the loop for ever."""
        executor.fuel = FUEL
        scheduler = self._kind.scheduler
        if scheduler.overdue():
            await scheduler.backend.turn()
            executor.fuel = FEW
            return self._executor()
        return executor

    def _leave(self) -> None:
        """The handler in the asker's task is over: what is next for the actor?"""
        if self._state != RUNNING:
            self._released()
        elif not self._mail:
            self._mail = None
            self._state = IDLE
        else:
            self._kind.scheduler.add(self)

    async def _inline_done(self, executor: Executor, answer: Any) -> Any:
        extra = self._extra
        token = extra.token if extra is not None else None
        if extra is not None:
            extra.token = None
        self._leave()
        if token is not None:
            # The handler outran its interrupt, or swallowed it: it must not hit the asker.
            await self._system._backend.drain(executor.task(), token)
        return answer

    def _released(self) -> None:
        """The executor leaves an actor that the kernel has taken over."""
        self._by = None
        extra = self._extra
        if extra is not None and extra.busy:
            extra.busy = False
            if extra.idle is not None and not extra.idle.done():
                extra.idle.set_result(None)

    async def _ask_within(self, message: Any, timeout: float) -> Any:
        with anyio.move_on_after(timeout):
            return await self.ask(message)
        raise AskTimeout(self.path, timeout)

    def _enqueue(self, message: Any, executor: Executor) -> Ask:
        """Put an ask into the mailbox, or in line for room there."""
        state = self._state
        if state == RUNNING:
            self._check_circle(executor)
        elif state >= STOPPING:
            raise stopped_error(self)
        item = Ask(message, self._kind.scheduler.future())
        if mail_count(self) >= self._policy.mailbox:
            line(self).append(Waiting(item, None))
        else:
            self._post(item)
        return item

    def _check_circle(self, executor: Executor) -> None:
        """Raises `Deadlock` if this actor cannot be free before `executor` is."""
        if not executor.depth and not isinstance(executor, Worker):
            return  # it runs no handler, so nobody waits for it
        circle = self._waits_for(executor, set())
        if circle is not None:
            raise Deadlock(tuple(circle))

    def _waits_for(self, executor: Executor, seen: "set[ActorRef]") -> list[str] | None:
        """The paths from here to what `executor` runs, if this actor waits for it; else None."""
        by = self._by
        if self._state != RUNNING or by is None:
            return None
        if by is executor:
            return [self.path]
        if self in seen:  # a circle below: it waits for ever, whoever began it
            return [self.path]
        after = by.waiting
        if after is None:
            return None
        seen.add(self)
        rest = after._waits_for(executor, seen)
        return None if rest is None else [self.path, *rest]

    # -- ending

    async def stop(self, reason: BaseException | str | None = None) -> None:
        """End it in order, for good; returns when it is gone. `reason` None is a normal end."""
        if isinstance(reason, str):
            reason = ActorError(reason)
        lifecycle.end(self, reason)
        await gone(self)

    async def kill(self) -> None:
        """End it for good, cancelling what it does; returns when it is gone."""
        lifecycle.end(self, Killed(f"{self.path} was killed"), kill=True)
        await gone(self)

    async def ready(self) -> None:
        """Wait until its `started` hook is done. Raises `ActorStopped` if it ended instead."""
        await ready(self)

    async def gone(self) -> None:
        """Wait until it has ended, whoever ends it."""
        await gone(self)

    def _closing(self) -> None:
        """The end has begun."""

    # -- for workers

    # Plain functions of the kernel, as methods: the scheduler cannot import what imports it.
    _worker_failed = worker_failed
    _came_up = came_up
    _admit = admit

    def _interrupt(self) -> None:
        """Break off the running handler, wherever it runs."""
        by = self._by
        if by is None:
            return
        if isinstance(by, Worker) and by.root is self:
            by.strike()
            return
        extra = self._extra
        task = by.task()
        if extra is not None and task is not None:
            extra.token = self._system._backend.interrupt(task, extra.token)
