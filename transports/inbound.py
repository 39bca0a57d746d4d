"""What a server sends unasked: its requests, each in a task, and its notifications, in order."""

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    run_notify_intercept,
)
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.transport_context import TransportContext
from mcp_types import INVALID_PARAMS, INVALID_REQUEST
from pydantic import ValidationError

from nexau.transports.log import get_logger
from nexau.transports.wire import (
    ABSENT,
    BAD,
    Message,
    RequestId,
    decode_cancelled,
    decode_object,
    encode_error,
    encode_notification,
    encode_result,
    same_id,
)

if TYPE_CHECKING:
    from nexau.transports.jsonrpc import Channel

log = get_logger(__name__)

_QUEUE = 256
"""Notifications kept; beyond that the oldest are dropped."""
_MAX_PARAMS = 65_536
"""Bytes of a notification; a longer one is dropped."""


class Inbound:
    """Serves one server. At most `limit` of its requests run at once; more are refused."""

    def __init__(self, channel: "Channel", limit: int) -> None:
        self.dropped = 0
        """Notifications that came faster than they were taken."""
        self.violations = 0
        self._channel = channel
        self._limit = limit
        self._queue: deque[tuple[str, dict[str, Any] | None]] = deque(maxlen=_QUEUE)
        self._arrived = anyio.Event()
        self._running: dict[RequestId, _Context] = {}
        self._refusing = 0
        """Answers under way to requests that are not served."""
        self._tasks: TaskGroup | None = None
        self._on_request: OnRequest | None = None
        self._intercept: OnNotifyIntercept | None = None

    def start(
        self,
        tasks: TaskGroup,
        on_request: OnRequest,
        on_notify: OnNotify,
        intercept: OnNotifyIntercept | None,
    ) -> None:
        """Take messages from now on, in `tasks`."""
        self._tasks = tasks
        self._on_request = on_request
        self._intercept = intercept
        tasks.start_soon(self._notify, on_notify)

    def close(self) -> None:
        self._tasks = None

    def spawn(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> None:
        """Run in the background while the connection is open."""
        if self._tasks is not None:
            self._tasks.start_soon(function, *args)

    def take(self, message: Message) -> None:
        """A request or a notification."""
        if message.id is None and len(memoryview(message.params)) > _MAX_PARAMS:
            self.dropped += 1
            return
        try:
            params = None if message.params is ABSENT else decode_object(message.params)
        except BAD as error:
            self.violations += 1
            if isinstance(message.id, int | str):
                self._refuse(encode_error(message.id, INVALID_PARAMS, f"params: {error}"))
            return
        if isinstance(message.id, int | str):
            self._take_request(message.id, message.method, params)
        elif message.id is None:
            self._take_notification(message, params)
        else:
            self.violations += 1

    def _take_request(
        self, request_id: RequestId, method: str, params: dict[str, Any] | None
    ) -> None:
        if len(self._running) >= self._limit:
            self._refuse(encode_error(request_id, INVALID_REQUEST, "too many requests at once"))
            return
        context = _Context(self._channel, request_id, params)
        self._running[same_id(request_id)] = context
        self.spawn(self._serve, context, method, params)

    def _refuse(self, answer: bytes) -> None:
        """Not at all where as many refusals wait for a server that does not read."""
        if self._refusing < self._limit:
            self._refusing += 1
            self.spawn(self._send_refusal, answer)

    async def _send_refusal(self, answer: bytes) -> None:
        try:
            await self._channel.send(answer)
        finally:
            self._refusing -= 1

    async def _serve(self, context: "_Context", method: str, params: dict[str, Any] | None) -> None:
        assert self._on_request is not None
        assert context.request_id is not None
        answer: bytes | None = None
        try:
            with context.scope:
                result = await self._on_request(context, method, params)
                answer = encode_result(context.request_id, result)
        except MCPError as error:
            code, text, data = error.code, error.message, error.data
            answer = encode_error(context.request_id, code, text, data)
        except ValidationError:
            answer = encode_error(context.request_id, INVALID_PARAMS, "Invalid request parameters")
        finally:
            context.closed = True
            self._running.pop(same_id(context.request_id), None)
        # A request that the server cancelled must not be answered.
        if answer is not None and not context.cancel_requested.is_set():
            await self._channel.send(answer)

    def _take_notification(self, message: Message, params: dict[str, Any] | None) -> None:
        if message.method == "notifications/cancelled":
            self._cancel(message)
        if run_notify_intercept(self._intercept, message.method, params):
            return
        if len(self._queue) == _QUEUE:
            self.dropped += 1
        self._queue.append((message.method, params))
        self._arrived.set()

    def _cancel(self, message: Message) -> None:
        try:
            context = self._running.get(decode_cancelled(message.params))
        except BAD:
            self.violations += 1
            return
        if context is not None:
            context.cancel_requested.set()
            context.scope.cancel()

    async def _notify(self, on_notify: OnNotify) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._queue:
                method, params = self._queue.popleft()
                await on_notify(_Context(self._channel, None, None), method, params)


class _Context:
    """A `mcp.shared.dispatcher.DispatchContext`."""

    def __init__(
        self, channel: "Channel", request_id: RequestId | None, params: dict[str, Any] | None
    ) -> None:
        self.transport = TransportContext(
            kind=channel.kind, can_send_request=channel.can_send_request
        )
        self.request_id = request_id
        self.message_metadata = None
        self.cancel_requested = anyio.Event()
        self.scope = anyio.CancelScope()
        self.closed = False
        self._channel = channel
        meta = (params or {}).get("_meta")
        self._token = meta.get("progressToken") if isinstance(meta, dict) else None

    @property
    def can_send_request(self) -> bool:
        return False

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """A client's handler has no back channel of its own: it has the session."""
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        if not self.closed:
            await self._channel.send(encode_notification(method, params))

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        if isinstance(self._token, int | str):
            said = {"progress": progress, "total": total, "message": message}
            params = {key: value for key, value in said.items() if value is not None}
            await self.notify("notifications/progress", params | {"progressToken": self._token})
