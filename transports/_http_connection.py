"""A keep-alive HTTP/1.1 connection of a client on asyncio: the loop feeds what arrives."""

import asyncio
from collections.abc import Callable
from typing import cast

from nexau.transports._http_answer import Answer
from nexau.transports.http import HttpFailure

_HIGH_WATER = 1 << 18
"""Bytes of an unread body from which the connection is not read any further."""


class Connection(Answer, asyncio.Protocol):
    """Carries one exchange after another: `send`, `head`, then `read` or `chunk`.

    Whatever ends the connection ends its exchange with a failure.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["Connection"], None]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._on_lost = on_lost
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._transport: asyncio.Transport

    # The exchange

    def send(self, head: bytes, body: bytes | None, until: float | None) -> None:
        """Begins an exchange, which fails at `until`, on the loop's clock."""
        self._expect()
        if until is not None:
            self._timer = self._loop.call_at(until, self.fail, "timeout", "timed out")
        if not body:
            self._transport.write(head)
        elif len(body) < _HIGH_WATER:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def head(self) -> bool:
        """Waits for status and headers. False after a failure."""
        while not self._has_head:
            if self.failure is not None:
                return False
            await self._wait()
        return True

    async def read(self) -> bytes | None:
        """What is left of the body. None after a failure."""
        self._whole = True
        self._resume()
        while not self.complete:
            if self.failure is not None:
                return None
            await self._wait()
        return self._taken()

    async def chunk(self) -> bytes | None:
        """What has arrived of the body; nothing at its end. None after a failure."""
        while not self._body:
            if self.complete:
                return b""
            if self.failure is not None:
                return None
            await self._wait()
        data = self._taken()
        self._resume()
        return data

    def leave(self) -> None:
        """The exchange is over for whoever sent it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the answer has been received to its end."""
        return (
            self.complete
            and self._keep
            and self.failure is None
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    def fail(self, kind: HttpFailure, message: str) -> None:
        super().fail(kind, message)
        self._transport.abort()
        self._wake()

    def abort(self) -> None:
        self._keep = False
        self._transport.abort()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._broke_off(cleanly=exc is None)
        self._wake()
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.abort()  # nobody has asked
            return
        self._feed(data)
        if self.failure is not None:
            return
        if self._waiter is not None and (self.complete or not self._whole):
            self._wake()
        if self._buffered > _HIGH_WATER and not (self._whole or self._paused or self.complete):
            self._paused = True
            self._transport.pause_reading()
