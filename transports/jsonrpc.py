"""JSON-RPC over a channel: the dispatcher that runs under the official session.

`mcp.ClientSession(dispatcher=JsonRpc(...))` sends and receives through this; tool calls go past
the session, straight to `JsonRpc.exchange`. Answers are matched here, everything else that a
server sends goes to `nexau.transports.inbound`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import anyio
from anyio.abc import TaskStatus
from mcp.shared.dispatcher import CallOptions, OnNotify, OnNotifyIntercept, OnRequest, ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR, REQUEST_TIMEOUT

from nexau.transports.flood import SECONDS as FLOOD_SECONDS, Flood
from nexau.transports.inbound import Inbound
from nexau.transports.log import get_logger
from nexau.transports.pending import NEVER, Deadlines, Lost, Outcome, Pending
from nexau.transports.pipes import on_asyncio
from nexau.transports.protocol import Progress
from nexau.transports.scoping import background
from nexau.transports.wire import (
    ABSENT,
    BAD,
    Message,
    RequestId,
    decode,
    decode_error,
    decode_lines,
    decode_object,
    decode_progress,
    encode_notification,
    encode_request,
    salvage_id,
    same_id,
    within,
)

log = get_logger(__name__)

_REMEMBERED = 1024
"""Abandoned ids kept, to tell a late answer from a wrong one."""

_NOISE_BYTES = 300

MAX_NESTING = 128
"""Levels of a result that is not a tool's: a list of tools, a resource."""

_CODES = {
    "closed": CONNECTION_CLOSED,
    "timeout": REQUEST_TIMEOUT,
    "too_large": INVALID_REQUEST,
    "garbled": PARSE_ERROR,
    "broken": INVALID_REQUEST,
}


class Channel(Protocol):
    """How bytes reach the peer: `stdio`, `streamable_http`."""

    @property
    def kind(self) -> str: ...

    @property
    def can_send_request(self) -> bool:
        """Whether the peer may ask us things."""
        ...

    async def run(self, rpc: "JsonRpc") -> str:
        """Feed `rpc` with what arrives, until the peer goes away. Returns the reason."""
        ...

    async def exchange(
        self, pending: Pending, data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        """Send a request. Returns when `pending` has its outcome."""
        ...

    async def send(self, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a message that has no answer. Lost silently when the peer has gone."""
        ...

    def abandon(self, request_id: RequestId, reason: str) -> None:
        """Tell the peer that nobody waits for this answer any more. Does not wait."""
        ...


class JsonRpc:
    """A `mcp.shared.dispatcher.Dispatcher`."""

    def __init__(
        self, channel: Channel, *, max_inbound: int = 64, max_unasked: int = 20_000
    ) -> None:
        self.closed: str | None = None
        """Why it is closed."""
        self.closed_by_peer = False
        self.stamp: tuple[Mapping[str, Any], Mapping[str, str]] = ({}, {})
        """`_meta` and headers that the session put on its last request."""
        self.noise = b""
        """The last thing that was not JSON-RPC, for error texts."""
        self.violations = 0
        """Messages that the protocol does not allow; each was skipped."""
        self.late = 0
        """Answers to requests that were cancelled or had timed out."""
        self._channel = channel
        self._last_id = 0
        self._pending: dict[RequestId, Pending] = {}
        self._abandoned: deque[RequestId] = deque(maxlen=_REMEMBERED)
        self._deadlines = Deadlines(self._pending)
        self._inbound = Inbound(channel, max_inbound)
        self._closed_event = anyio.Event()
        self._loop = asyncio.get_running_loop() if on_asyncio() else None
        self.clock: Callable[[], float] = (
            anyio.current_time if self._loop is None else self._loop.time
        )
        """The event loop's."""
        self._flood = Flood(max_unasked, self.clock, self._flooded)

    @property
    def in_flight(self) -> int:
        """Requests of ours that wait for their answer."""
        return len(self._pending)

    def mint(self) -> int:
        """A request id of our own."""
        while True:
            self._last_id += 1
            if self._last_id not in self._pending:
                return self._last_id

    async def exchange(
        self,
        request_id: RequestId,
        method: str,
        data: bytes,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        headers: Mapping[str, str] | None = None,
        cancellable: bool = True,
    ) -> Outcome:
        """Send the request `data`, whose id is `request_id`, and wait for its outcome.

        `timeout` is in seconds. Never raises for what the peer does. When the caller is cancelled
        or the timeout passes, the peer is told, unless `cancellable` is false.
        """
        if self.closed is not None:
            return Lost("closed", self.closed)
        deadline = NEVER if timeout is None else self.clock() + timeout
        key = same_id(request_id)
        pending = self._pending[key] = Pending(
            request_id, method, self._loop, deadline, on_progress
        )
        if timeout is not None:
            self._deadlines.add(deadline)
        try:
            await self._channel.exchange(pending, data, headers)
        finally:
            del self._pending[key]
            outcome = pending.outcome
            if outcome is None or (isinstance(outcome, Lost) and outcome.kind == "timeout"):
                self._abandoned.append(key)
                if cancellable and pending.sent and self.closed is None:
                    why = "cancelled by the caller" if outcome is None else "timed out"
                    self._channel.abandon(request_id, why)
        return outcome or Lost("closed", "the transport gave no answer")

    # What the official session calls.

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,
    ) -> dict[str, Any]:
        """Raises MCPError."""
        options = opts or {}
        request_id = options.get("request_id")
        if request_id is None:
            request_id = self.mint()
        elif same_id(request_id) in self._pending:
            raise ValueError(f"request id {request_id!r} is in flight")
        progress = options.get("on_progress")
        if progress is not None:
            meta = dict((params or {}).get("_meta") or {}) | {"progressToken": request_id}
            params = dict(params or {}) | {"_meta": meta}
        self.stamp = ((params or {}).get("_meta") or {}, options.get("headers") or {})
        outcome = await self.exchange(
            request_id,
            method,
            encode_request(request_id, method, params),
            timeout=options.get("timeout"),
            on_progress=None if progress is None else partial(self._report, progress),
            headers=options.get("headers"),
            cancellable=options.get("cancel_on_abandon", True),
        )
        if isinstance(outcome, Lost):
            text = outcome.text or f"no answer to {method!r}"
            raise MCPError(_CODES[outcome.kind], text)
        return _result_of(outcome)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Lost silently once the connection is closed."""
        if self.closed is None:
            headers = (opts or {}).get("headers")
            await self._channel.send(encode_notification(method, params), headers)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Receive until the channel ends."""
        try:
            async with background() as tasks:
                self._inbound.start(tasks, on_request, on_notify, on_notify_intercept)
                tasks.start_soon(self._deadlines.expire)
                task_status.started()
                self._close(await self._channel.run(self), by_peer=True)
        finally:
            self._close("it was closed", by_peer=False)

    def _close(self, reason: str, *, by_peer: bool) -> None:
        """Fail what waits, and everything after. The first reason counts."""
        if self.closed is not None:
            return
        self.closed = reason
        self.closed_by_peer = by_peer
        for pending in list(self._pending.values()):
            pending.interrupt(Lost("closed", reason))
        self._inbound.close()
        self._closed_event.set()

    def statistics(self) -> dict[str, int]:
        return {
            "violations": self.violations + self._inbound.violations,
            "late_answers": self.late,
            "dropped_notifications": self._inbound.dropped,
        }

    async def wait_closed(self) -> str | None:
        """Wait until it is closed. Returns the reason, or None when it was not the peer's doing."""
        await self._closed_event.wait()
        return self.closed if self.closed_by_peer else None

    # What channels call.

    def peer_gone(self, reason: str) -> None:
        """Fail what waits, before `Channel.run` gets round to returning."""
        self._close(reason, by_peer=True)

    def receive_lines(self, data: bytes) -> None:
        """Take newline-delimited messages, whole lines only."""
        try:
            messages = decode_lines(data)
        except BAD:
            for line in data.split(b"\n"):
                if line and not line.isspace():
                    self.receive(line)
            return
        for message in messages:
            self._route(message)

    def receive(self, data: bytes, request_id: RequestId | None = None) -> None:
        """Take one message or batch. An answer in it without id is for `request_id`."""
        try:
            messages = decode(data)
        except BAD as error:
            self._garbled(data, str(error))
            return
        for message in messages:
            if request_id is not None and message.id is None and not message.method:
                message.id = request_id
            self._route(message)

    def receive_error(self, data: bytes, pending: Pending) -> None:
        """Take a body that may be an error in answer to `pending`, whatever id it carries."""
        with suppress(*BAD):
            for message in decode(data):
                if message.error is not ABSENT:
                    pending.resolve(message)

    def oversized(self, head: bytes, tail: bytes, size: int, limit: int) -> None:
        """A message of `size` bytes was skipped; these are its ends."""
        self.violations += 1
        self._flood.one_more()
        found = salvage_id(head, tail)
        pending = None if found is None else self._pending.get(found)
        if pending is not None:
            text = f"the answer has {size} bytes, more than the {limit} that are read"
            pending.resolve(Lost("too_large", text))

    def _garbled(self, data: bytes, error: str) -> None:
        self.violations += 1
        self._flood.one_more()
        self.noise = data[:_NOISE_BYTES]
        found = salvage_id(data[:100], data[-100:])
        pending = None if found is None else self._pending.get(found)
        if pending is not None:
            pending.resolve(Lost("garbled", f"the answer is not JSON-RPC: {error}"))
        log.debug("garbled", text=self.noise.decode(errors="replace"), error=error)

    def _route(self, message: Message) -> None:
        if message.jsonrpc != "2.0":
            self.violations += 1
        if message.method:
            self._flood.one_more()
            if message.method == "notifications/progress" and message.id is None:
                self._progress(message)
            else:
                self._inbound.take(message)
            return
        request_id = message.id
        if isinstance(request_id, float):
            request_id = int(request_id) if request_id.is_integer() else None
        elif isinstance(request_id, str):
            request_id = same_id(request_id)
        pending = None if request_id is None else self._pending.get(request_id)
        if pending is not None and pending.outcome is None:
            pending.resolve(message)
        elif request_id in self._abandoned:
            self.late += 1
        else:
            self.violations += 1
            self._flood.one_more()
            log.debug("stray_answer", request_id=request_id)

    def _progress(self, message: Message) -> None:
        try:
            token, progress = decode_progress(message.params)
        except BAD:
            self.violations += 1
            return
        pending = self._pending.get(same_id(token))
        if pending is not None and pending.on_progress is not None:
            pending.on_progress(progress)

    def _flooded(self, limit: int) -> None:
        self.peer_gone(f"it sent more than {limit:,} messages in {FLOOD_SECONDS:g} s unasked")

    def _report(self, report: ProgressFnT, progress: Progress) -> None:
        self._inbound.spawn(report, progress.progress, progress.total, progress.message)


def _result_of(answer: Message) -> dict[str, Any]:
    """The result of an answer, as the session wants it. Raises MCPError."""
    if answer.error is not ABSENT:
        try:
            error = decode_error(answer.error)
        except BAD as bad:
            raise MCPError(PARSE_ERROR, f"the error object is malformed: {bad}") from bad
        raise MCPError(error.code, error.message, error.data)
    if answer.result is ABSENT:
        raise MCPError(PARSE_ERROR, "the answer has neither result nor error")
    try:
        result = decode_object(answer.result)
    except BAD as bad:
        raise MCPError(PARSE_ERROR, f"the result is malformed: {bad}") from bad
    if not within(result, MAX_NESTING):
        raise MCPError(PARSE_ERROR, f"the result is nested deeper than {MAX_NESTING} levels")
    return result
