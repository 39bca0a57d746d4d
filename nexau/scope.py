"""What all agents of one rollout share."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from nexau.actors import ActorRef
from nexau.budget import Budget, LimitReached
from nexau.definitions.values import Task
from nexau.models.base import Message, Turn
from nexau.recorder import Recorder
from nexau.scoring.users import Reply
from nexau.sessions import Session
from nexau.trajectory import CallResult, Event, Finished, Step
from nexau.transports.protocol import Usage

Deliver = Callable[[Event | Step], Awaitable[None]]


class Past(Protocol):
    """What the rollout had done before its process died (`nexau.journal.past`)."""

    def prompt(self, path: str) -> tuple[Message, ...] | None: ...

    def turn(self, path: str, number: int) -> Turn | None: ...

    def result(self, path: str, turn: int, call_id: str) -> CallResult | None: ...

    def said(self, path: str, turn: int) -> Reply | None: ...

    def limit(self, path: str) -> LimitReached | None: ...

    def finished(self, path: str) -> Finished | None: ...

    def usage(self, path: str) -> Usage: ...

    def take_budget(self, path: str) -> Budget | None: ...


class Durable(Protocol):
    """The journal, as agents see it."""

    ready: bool
    """Whether a turn may be asked for, or a call be sent, without `settle`."""

    async def settle(self) -> None:
        """Waits while what is on record has yet to be written, as far as the run's durability wants
        it to.
        """
        ...


class Scope:
    """The task, its record, and the sessions that this rollout holds."""

    __slots__ = (
        "_deliver",
        "_order",
        "crashes",
        "journal",
        "past",
        "queued",
        "recorder",
        "seed",
        "sessions",
        "task",
        "user",
    )

    def __init__(
        self,
        task: Task,
        seed: int,
        recorder: Recorder,
        sessions: dict[int, Session],
        deliver: Deliver | None = None,
        user: ActorRef | None = None,
        journal: Durable | None = None,
        past: Past | None = None,
    ) -> None:
        self.task = task
        self.seed = seed
        self.recorder = recorder
        self.sessions = sessions
        """By the key of the server (`ServerPool.key`)."""
        self.user = user
        """Answers what the root agent says, where somebody talks with it."""
        self.journal = journal
        self.past = past
        self.queued = 0.0
        """Seconds that the rollout waited for its sessions."""
        self._deliver = deliver
        self._order = anyio.Lock() if deliver is not None else None

    async def flush(self) -> None:
        """Hands what is pending to the listeners, in order; waits for a slow one."""
        if self._deliver is None or self._order is None:
            self.recorder.pending.clear()
            return
        async with self._order:
            pending, self.recorder.pending = self.recorder.pending, []
            delivered = 0
            try:
                for item in pending:
                    await self._deliver(item)
                    delivered += 1
            finally:
                # Whoever is cancelled while a listener is slow leaves the rest to the next.
                if delivered < len(pending):
                    self.recorder.pending[:0] = pending[delivered:]
