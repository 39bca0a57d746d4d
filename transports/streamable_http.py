"""MCP over streamable HTTP: each message a POST, answered by JSON or by a stream of events.

Every request runs in the task of its caller, so a broken answer fails one call and a cancelled
caller closes its stream. Two eras: up to 2025-11-25 a server may keep a session (`Mcp-Session-Id`),
send messages unasked over a GET stream and let a broken stream be resumed (`Last-Event-ID`);
from 2026-07-28 on each request stands alone.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER

from nexau.transports.http import HttpClient, HttpError, HttpResponse
from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.log import get_logger
from nexau.transports.negotiation import is_modern
from nexau.transports.pending import Lost, Pending
from nexau.transports.retry import asked_wait
from nexau.transports.scoping import background
from nexau.transports.sse import EventParser, TooLong
from nexau.transports.wire import RequestId, encode_notification

log = get_logger(__name__)

SESSION_HEADER = "mcp-session-id"
_LAST_EVENT_ID = "last-event-id"

_RETRIES = 2
"""Further attempts at a request that certainly was not processed, and at resuming a stream."""
_PAUSE = 0.2
"""Seconds before the first of them; doubled for each further one."""
_RESUME_PAUSE = 1.0
"""Seconds before a stream is resumed, where the server does not say."""
_LONGEST_PAUSE = 30.0
_FIRST_LINGER_PAUSE = 1.0
_LONGEST_LINGER_PAUSE = 60.0
_LINGER = 0.02
"""Seconds that an event stream may go on after its answer before its connection is given up."""
_OPENING = 0.5
"""Seconds for the server to open a stream of what it sends unasked, before calls begin."""
_FAREWELL = 2.0
"""Seconds for telling the server that the session is over, or a call cancelled."""
_REFUSALS_RETRIED = (429, 503)
_SHOWN = 300


class StreamableHttp:
    """A `nexau.transports.jsonrpc.Channel`. `http` may be shared by any number of them."""

    kind = "streamable-http"
    can_send_request = True

    def __init__(
        self, http: HttpClient, url: str, headers: Mapping[str, str], max_message_bytes: int
    ) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.session_id: str | None = None
        self._http = http
        self._url = url
        self._max = max_message_bytes
        self._base = {key.lower(): value for key, value in headers.items()} | {
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
        }
        self._version: str | None = None
        self._rpc: JsonRpc | None = None
        self._tasks: TaskGroup | None = None
        self._over = anyio.Event()
        self._reason = ""
        self._linger_from = 0.0
        self._linger_pause = _FIRST_LINGER_PAUSE

    async def run(self, rpc: JsonRpc) -> str:
        """Until the server no longer knows the session."""
        self._rpc = rpc
        try:
            async with background() as self._tasks:
                await self._over.wait()
        finally:
            self._tasks = None
        return self._reason

    async def listen(self) -> None:
        """Hold a GET stream open for what the server sends unasked, where it keeps a session.

        Returns when the stream is open, or will not be soon.
        """
        if self._tasks is not None and self.session_id is not None:
            opened = anyio.Event()
            self._tasks.start_soon(self._listen, opened)
            with anyio.move_on_after(_OPENING):
                await opened.wait()

    async def end_session(self) -> None:
        """Tell the server that the session is over, if it keeps one. Never raises."""
        if self.session_id is None or self._over.is_set():
            return
        with anyio.move_on_after(_FAREWELL, shield=True), suppress(HttpError):
            async with self._http.request("DELETE", self._url, headers=self._headers(None)):
                self.session_id = None

    async def exchange(
        self, pending: Pending, data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        """Returns with an outcome in any case."""
        with anyio.CancelScope() as pending.scope:
            if headers is None or pending.method == "initialize":
                headers = {}
            self._version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
            merged = self._headers(headers)
            for attempt in range(_RETRIES + 1):
                pause = await self._post(pending, data, merged, last=attempt == _RETRIES)
                if pause is None:
                    return
                await anyio.sleep(max(pause, _PAUSE * 2**attempt))

    async def send(self, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Lost silently, but for the log, when the server does not take it."""
        self.bytes_out += len(data)
        if headers and MCP_PROTOCOL_VERSION_HEADER in headers:
            self._version = headers[MCP_PROTOCOL_VERSION_HEADER]
        try:
            async with self._http.request(
                "POST", self._url, headers=self._headers(headers), body=data
            ) as response:
                if response.status >= 400:
                    await self._refused(response, None)
                else:
                    await response.read()
        except HttpError as error:
            log.debug("message_lost", error=str(error))

    def abandon(self, request_id: RequestId, reason: str) -> None:
        """From 2026-07-28 on, closing the stream of a request is what cancels it."""
        if self._tasks is not None and not is_modern(self._version):
            params = {"requestId": request_id, "reason": reason}
            message = encode_notification("notifications/cancelled", params)
            self._tasks.start_soon(self._send_briefly, message)

    async def _send_briefly(self, data: bytes) -> None:
        with anyio.move_on_after(_FAREWELL):
            await self.send(data)

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        merged = {**self._base, **(headers or {})}
        if self.session_id is not None:
            merged[SESSION_HEADER] = self.session_id
        if headers is None and self._version is not None:
            merged[MCP_PROTOCOL_VERSION_HEADER] = self._version
        return merged

    # One request.

    async def _post(
        self, pending: Pending, data: bytes, headers: dict[str, str], *, last: bool
    ) -> float | None:
        """One attempt. Returns the seconds to wait before the next, None when there is none."""
        self.bytes_out += len(data)
        pending.sent = True
        try:
            async with self._http.request(
                "POST", self._url, headers=headers, body=data
            ) as response:
                if response.status != 200:
                    return await self._not_ok(pending, response, last=last)
                if pending.method == "initialize":
                    self.session_id = response.headers.get(SESSION_HEADER)
                parser = await self._read(pending, response)
        except HttpError as error:
            if error.kind == "connect" and not last:
                return 0.0
            pending.resolve(Lost("broken", str(error)))
            return None
        if parser is not None and pending.outcome is None:
            await self._resume(pending, parser)
        return None

    async def _not_ok(
        self, pending: Pending, response: HttpResponse, *, last: bool
    ) -> float | None:
        status = response.status
        if status in _REFUSALS_RETRIED and not last:
            asked = asked_wait(response.headers, time.time())
            if asked is None or asked <= _LONGEST_PAUSE:
                return asked or 0.0
        if status < 400:
            text = f"the server answered with HTTP {status} and no result"
            pending.resolve(Lost("broken", text))
        else:
            await self._refused(response, pending)
        return None

    async def _refused(self, response: HttpResponse, pending: Pending | None) -> None:
        """A status of 400 and above, which may bring a JSON-RPC error. Raises HttpError."""
        assert self._rpc is not None
        body = await self._body(response)
        status = response.status
        shown = (body or b"")[:_SHOWN].decode(errors="replace")
        if self.session_id is not None and _session_is_gone(status, shown):
            reason = f"the server no longer knows the session (HTTP {status})"
            self._reason = reason
            self._over.set()
            if pending is not None:
                pending.resolve(Lost("closed", reason))
            self._rpc.peer_gone(reason)
        if pending is None:
            return
        if body is not None and _media_type(response) == "application/json":
            self._rpc.receive_error(body, pending)
        pending.resolve(Lost("broken", f"HTTP {status}: {shown}".rstrip(": ")))

    async def _read(self, pending: Pending, response: HttpResponse) -> EventParser | None:
        """The answer. Returns the parser of a stream that ended before it. Raises HttpError."""
        assert self._rpc is not None
        media_type = _media_type(response)
        if media_type == "application/json":
            body = await self._body(response)
            if body is None:
                text = f"the answer has more than {self._max} bytes"
                pending.resolve(Lost("too_large", text))
                return None
            self._rpc.receive(body, pending.request_id)
            pending.resolve(Lost("garbled", "the answer is not one to this request"))
            return None
        if media_type != "text/event-stream":
            pending.resolve(Lost("garbled", f"the answer is of type {media_type!r}"))
            return None
        parser = EventParser(self._max)
        with suppress(HttpError):
            await self._events(pending, response, parser)
        return parser

    async def _body(self, response: HttpResponse) -> bytes | None:
        """The whole body; None when it has more than `max_message_bytes`. Raises HttpError."""
        length = response.headers.get("content-length", "")
        if length.isdigit() and "content-encoding" not in response.headers:
            if int(length) > self._max:
                return None
            body = await response.read()
        else:
            pieces: list[bytes] = []
            size = 0
            async for piece in response.chunks():
                size += len(piece)
                if size > self._max:
                    return None
                pieces.append(piece)
            body = b"".join(pieces)
        self.bytes_in += len(body)
        return body

    # Streams of events.

    async def _events(
        self, pending: Pending | None, response: HttpResponse, parser: EventParser
    ) -> None:
        """Take events until the answer has come or the stream ends. Raises HttpError."""
        assert self._rpc is not None
        chunks = response.chunks()
        async for piece in chunks:
            self.bytes_in += len(piece)
            try:
                events = parser.feed(piece)
            except TooLong as long:
                self._rpc.oversized(long.head, long.tail, long.size, self._max)
                if pending is not None:
                    text = f"the answer has more than {self._max} bytes"
                    pending.resolve(Lost("too_large", text))
                return
            for event in events:
                if event.data and event.name == "message":
                    self._rpc.receive(event.data)
            if pending is not None and pending.outcome is not None:
                break
        else:
            return
        if pending is not None:
            await self._linger(chunks)

    async def _linger(self, chunks: AsyncIterator[bytes]) -> None:
        """Read a stream to its end after the answer: only then is its connection used again.

        A server that keeps streams open is left alone for a while, a longer one each time.
        """
        assert self._rpc is not None
        if self._rpc.clock() < self._linger_from:
            return
        with anyio.move_on_after(_LINGER):
            async for piece in chunks:
                self.bytes_in += len(piece)
            self._linger_pause = _FIRST_LINGER_PAUSE
            return
        self._linger_from = self._rpc.clock() + self._linger_pause
        self._linger_pause = min(2 * self._linger_pause, _LONGEST_LINGER_PAUSE)

    async def _resume(self, pending: Pending, parser: EventParser) -> None:
        """Get the rest of a stream that broke off, where it can be had."""
        failures = 0
        while pending.outcome is None:
            if not parser.last_id or is_modern(self._version) or failures > _RETRIES:
                pending.resolve(Lost("broken", "the event stream ended without an answer"))
                return
            before = parser.last_id
            await anyio.sleep(_RESUME_PAUSE if parser.retry is None else parser.retry)
            fresh = EventParser(self._max)
            fresh.last_id, fresh.retry = parser.last_id, parser.retry
            status = await self._get(pending, fresh)
            parser = fresh
            failures = 0 if status == 200 and parser.last_id != before else failures + 1
            if status in (400, 404, 405):
                failures = _RETRIES + 1

    async def _get(
        self,
        pending: Pending | None,
        parser: EventParser,
        opened: anyio.Event | None = None,
    ) -> int:
        """One GET stream, until its end. Returns its status; 0 when there was none."""
        headers = self._headers(None)
        del headers["content-type"]
        headers["accept"] = "text/event-stream"
        if parser.last_id:
            headers[_LAST_EVENT_ID] = parser.last_id
        try:
            async with self._http.request("GET", self._url, headers=headers) as response:
                if opened is not None:
                    opened.set()
                if response.status >= 400:
                    await self._refused(response, None)
                elif _media_type(response) == "text/event-stream":
                    await self._events(pending, response, parser)
                else:
                    return 405
                return response.status
        except HttpError as error:
            log.debug("stream_broken", error=str(error))
            return 0

    async def _listen(self, opened: anyio.Event) -> None:
        parser = EventParser(self._max)
        pause = _RESUME_PAUSE
        while True:
            status = await self._get(None, parser, opened)
            opened.set()
            if status == 200:
                pause = _RESUME_PAUSE
            elif 400 <= status < 500 and status not in _REFUSALS_RETRIED:
                return
            else:
                pause = min(2 * pause, _LONGEST_PAUSE)
            fresh = EventParser(self._max)
            fresh.last_id, fresh.retry = parser.last_id, parser.retry
            parser = fresh
            await anyio.sleep(pause if parser.retry is None else max(parser.retry, pause - 1))


def _media_type(response: HttpResponse) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _session_is_gone(status: int, text: str) -> bool:
    # The specification asks for 404; servers made from the TypeScript examples answer 400.
    return status == 404 or (status == 400 and "session" in text.lower())
