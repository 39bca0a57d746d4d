"""One keep-alive HTTP/1.1 connection of a client on asyncio, over httptools (llhttp)."""

import asyncio
import zlib
from collections.abc import Callable
from typing import cast

import httptools

from nexau.transports._http_target import lowered
from nexau.transports.http import HttpFailure

_HIGH_WATER = 1 << 18
"""Bytes of an unread body from which the connection is not read any further."""
_MAX_HEAD = 1 << 18
"""Bytes of an answer's headers."""
_PIECE = 1 << 20
"""Bytes that a compressed body is inflated to at a time."""

CLOSED = "the connection was closed before the answer was whole"
_NOT_HTTP = "the answer is not HTTP"
_BROKEN_BODY = "the answer broke off or does not decode"


class Connection(asyncio.Protocol):
    """Carries one exchange after another: `send`, `head`, then `read` or `chunk`.

    `status`, `headers` and `failure` are those of the exchange under way. Whatever ends the
    connection ends its exchange with a failure.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["Connection"], None]
    ) -> None:
        self.failure: tuple[HttpFailure, str] | None = None
        self.status = 0
        self.idle_since = 0.0
        self.complete = True
        self.begun = False
        """Some of the answer has arrived."""
        self._loop = loop
        self._on_lost = on_lost
        self._waiter: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._raw: list[tuple[str, str]] = []
        self._headers: dict[str, str] | None = None
        self._head_size = 0
        self._has_head = False
        self._body: list[bytes] = []
        self._buffered = 0
        self._whole = False
        """The reader wants the body in one piece."""
        self._paused = False
        self._keep = True
        self._ends_with_connection = False
        self._decoder: zlib._Decompress | None = None
        self._transport: asyncio.Transport

    # The exchange

    def send(self, head: bytes, body: bytes | None) -> None:
        self.failure = None
        self.complete = self.begun = self._has_head = self._whole = False
        self._raw, self._headers, self._head_size = [], None, 0
        self._body, self._buffered = [], 0
        self._decoder = None
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

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = lowered(self._raw)
        return self._headers

    async def read(self) -> bytes | None:
        """What is left of the body. None after a failure."""
        self._whole = True
        self._resume()
        while not self.complete:
            if self.failure is not None:
                return None
            await self._wait()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._buffered = [], 0
        return body

    async def chunk(self) -> bytes | None:
        """What has arrived of the body; nothing at its end. None after a failure."""
        while not self._body:
            if self.complete:
                return b""
            if self.failure is not None:
                return None
            await self._wait()
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._buffered = [], 0
        self._resume()
        return data

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
        """Ends the exchange and the connection."""
        if self.failure is None and not self.complete:
            self.failure = (kind, message)
        self._keep = False
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
        self._keep = False
        if not self.complete and self.failure is None:
            if exc is None and self._has_head and self._ends_with_connection:
                self._end()
            else:
                self.failure = ("closed", CLOSED)
        self._wake()
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.abort()  # nobody has asked
            return
        self.begun = True
        if not self._has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ValueError):
            # A ValueError is a header that is not text. zlib's errors are told apart in on_body.
            if self.failure is None:
                self.fail("protocol", _NOT_HTTP)
            return
        if not self._has_head and self._head_size > _MAX_HEAD:
            self.fail("protocol", "the answer's headers are too large")
        elif self._waiter is not None and (self.complete or not self._whole):
            self._wake()
        if self._buffered > _HIGH_WATER and not (self._whole or self._paused or self.complete):
            self._paused = True
            self._transport.pause_reading()

    # The parser's side

    def on_message_begin(self) -> None:
        if self.complete:
            self._keep = False  # more than one answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # what follows a chunked body is not kept
            self._raw.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = status = self._parser.get_status_code()
        if status < 200:
            self._raw = []
            return
        self._has_head = True
        self._keep = self._parser.should_keep_alive()
        headers = self.headers
        coding = headers.get("transfer-encoding")
        self._ends_with_connection = (
            "content-length" not in headers
            if coding is None
            else not coding.lower().endswith("chunked")
        ) and status not in (204, 304)
        coding = headers.get("content-encoding", "").strip().lower()
        if coding in ("gzip", "x-gzip"):
            self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif coding == "deflate":
            self._decoder = zlib.decompressobj()

    def on_body(self, data: bytes) -> None:
        if self.complete:
            return
        if self._decoder is None:
            self._body.append(data)
            self._buffered += len(data)
            return
        try:
            self._inflate(data)
        except zlib.error:
            self.fail("closed", _BROKEN_BODY)

    def on_message_complete(self) -> None:
        if self._has_head and not self.complete and self.failure is None:
            self._end()

    def _end(self) -> None:
        if self._decoder is not None and self._buffered and not self._decoder.eof:
            self.fail("closed", _BROKEN_BODY)
        else:
            self.complete = True

    def _inflate(self, data: bytes) -> None:
        decoder = self._decoder
        assert decoder is not None
        while data:
            if decoder.eof:  # another gzip member
                decoder = self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            piece = decoder.decompress(data, _PIECE)
            if piece:
                self._body.append(piece)
                self._buffered += len(piece)
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
