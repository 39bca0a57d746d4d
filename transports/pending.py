"""Requests that wait for their answer."""

import asyncio
from collections.abc import Callable
from typing import Literal

import anyio
from msgspec import Struct

from nexau.transports.protocol import Progress
from nexau.transports.wire import Message, RequestId


class Lost(Struct, frozen=True):
    """A request that got no proper answer."""

    kind: Literal["closed", "timeout", "too_large", "garbled", "broken"]
    """closed: the session is over. broken: the transport failed this one request (HTTP)."""
    text: str


Outcome = Message | Lost

NEVER = float("inf")


class Pending:
    """One request: resolved once, waited for once, by the same task that made it.

    `loop` is the event loop where that is asyncio's.
    """

    __slots__ = (
        "_loop",
        "_wake",
        "deadline",
        "method",
        "on_progress",
        "outcome",
        "request_id",
        "scope",
        "sent",
    )

    def __init__(
        self,
        request_id: RequestId,
        method: str,
        loop: asyncio.AbstractEventLoop | None,
        deadline: float = NEVER,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.method = method
        self.deadline = deadline
        """On the event loop's clock."""
        self.on_progress = on_progress
        self.outcome: Outcome | None = None
        self.sent = False
        self.scope: anyio.CancelScope | None = None
        """What to cancel when the request is over before its answer came, where waiting is I/O."""
        self._loop = loop
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
        if self._loop is None:
            event = self._wake = anyio.Event()
            await event.wait()
        else:
            future = self._wake = self._loop.create_future()
            await future


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
