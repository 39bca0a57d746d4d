"""Requests that wait for their answer."""

import asyncio
from collections.abc import Callable
from typing import Literal

import anyio
from msgspec import Struct

from nexau.transports.pipes import on_asyncio
from nexau.transports.protocol import Progress
from nexau.transports.wire import Message, RequestId


class Lost(Struct, frozen=True):
    """A request that got no proper answer."""

    kind: Literal["closed", "timeout", "too_large", "garbled", "refused"]
    """closed: the peer went away. refused: the transport did not take it (an HTTP status)."""
    text: str


Outcome = Message | Lost

NEVER = float("inf")


class Pending:
    """One request: resolved once, waited for once, by the same task that made it."""

    __slots__ = ("deadline", "on_progress", "outcome", "request_id", "scope", "_wake")

    def __init__(
        self,
        request_id: RequestId,
        deadline: float = NEVER,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.deadline = deadline
        """On the event loop's clock."""
        self.on_progress = on_progress
        self.outcome: Outcome | None = None
        self.scope: anyio.CancelScope | None = None
        """What to cancel when the request is over before its answer came, where waiting is I/O."""
        self._wake: asyncio.Future[None] | anyio.Event | None = None

    def resolve(self, outcome: Outcome) -> None:
        """Give it its outcome; the first one counts."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        wake = self._wake
        if wake is None:
            return
        if isinstance(wake, anyio.Event):
            wake.set()
        elif not wake.done():
            wake.set_result(None)

    def interrupt(self, outcome: Lost) -> None:
        """Resolve, and stop the I/O that waits for the answer."""
        if self.outcome is None:
            self.resolve(outcome)
            if self.scope is not None:
                self.scope.cancel()

    async def wait(self) -> None:
        """Wait until it is resolved."""
        if self.outcome is not None:
            return
        # A bare future costs a tenth of an anyio Event on asyncio.
        if on_asyncio():
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        else:
            self._wake = anyio.Event()
            await self._wake.wait()


class Deadlines:
    """Times requests out, with one sleeper for all and one comparison for each.

    `expire` sleeps until the earliest deadline it saw when it last looked; requests that were
    answered since cost it nothing.
    """

    def __init__(self, pending: dict[RequestId, Pending]) -> None:
        self._pending = pending
        self._wake_at = NEVER
        self._earlier = anyio.Event()

    def add(self, deadline: float) -> None:
        """There is a new request, due at `deadline`."""
        if deadline < self._wake_at:
            self._wake_at = deadline
            self._earlier.set()

    async def expire(self) -> None:
        """Time requests out, for ever."""
        while True:
            with anyio.CancelScope(deadline=self._wake_at):
                await self._earlier.wait()
            self._earlier = anyio.Event()
            now = anyio.current_time()
            self._wake_at = NEVER
            for pending in list(self._pending.values()):
                if pending.deadline <= now:
                    pending.interrupt(Lost("timeout", ""))
                elif pending.deadline < self._wake_at:
                    self._wake_at = pending.deadline
