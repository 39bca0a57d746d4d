"""What all agents of one rollout share."""

from collections.abc import Awaitable, Callable, Mapping

import anyio

from nexau.actors import ActorRef
from nexau.definition import Task
from nexau.recorder import Recorder
from nexau.sessions import Session
from nexau.trajectory import Event, Step

Deliver = Callable[[Event | Step], Awaitable[None]]


class Scope:
    """The task, its record, and the sessions that this rollout holds."""

    __slots__ = ("_deliver", "_order", "crashes", "recorder", "seed", "sessions", "task", "user")

    def __init__(
        self,
        task: Task,
        seed: int,
        recorder: Recorder,
        sessions: Mapping[int, Session],
        deliver: Deliver | None = None,
        user: ActorRef | None = None,
    ) -> None:
        self.task = task
        self.seed = seed
        self.recorder = recorder
        self.sessions = sessions
        """By the key of the server (`ServerPool.key`)."""
        self.user = user
        """Answers what the root agent says, where somebody talks with it."""
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
