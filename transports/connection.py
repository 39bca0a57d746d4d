"""A session with one MCP server: its tools, and calls to them."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation, ServerNotification, ToolListChangedNotification
from pydantic import ValidationError

from nexau.transports.caller import Caller
from nexau.transports.http import HttpClient, open_http
from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.log import get_logger
from nexau.transports.negotiation import is_modern, negotiate
from nexau.transports.pending import Lost
from nexau.transports.process import GRACE, Process, ProcessError, open_process
from nexau.transports.protocol import Progress, Result, ToolSpec
from nexau.transports.scoping import background, transparent
from nexau.transports.sdklog import spare
from nexau.transports.stdio import Stdio
from nexau.transports.streamable_http import StreamableHttp
from nexau.transports.subscription import announces_tools, subscribe
from nexau.transports.target import (
    Handlers as Handlers,
    HttpTarget as HttpTarget,
    StdioTarget as StdioTarget,
    Target as Target,
)
from nexau.transports.vetting import ListingError

log = get_logger(__name__)

START_TIMEOUT = 60.0
"""Seconds."""

MAX_RESULT_BYTES = 1_000_000

_PROBE_TIMEOUT = 10.0
"""Seconds that a server has for `server/discover` before it is taken for an older one."""

_ENVELOPE = 1_048_576
"""Bytes that a message may be longer than the content that it can bring."""

_STDERR_SHOWN = 2_000
"""Characters."""

try:
    _CLIENT = Implementation(name="nexau", version=version("nexau"))
except PackageNotFoundError:
    _CLIENT = Implementation(name="nexau", version="0")


class ConnectionFailed(Exception):
    """A server with which no session could be opened. The text says why, and what the server wrote
    to stderr last.
    """


class Connection:
    """An open session. Made by `open_connection`; one object serves any number of calls at once."""

    def __init__(
        self,
        name: str,
        rpc: JsonRpc,
        channel: Stdio | StreamableHttp,
        process: Process | None,
        target: Target,
    ) -> None:
        self.name = name
        self.tools: tuple[ToolSpec, ...] = ()
        """As listed when the session was opened, or by the last `refresh`."""
        self.tools_changed = False
        """Whether the server has said since that they are others now."""
        self.on_tools_changed: Callable[[], None] | None = None
        self.server_info: Implementation | None = None
        self.protocol_version = ""
        self.session: ClientSession
        """The official session, for all that is not a tool call."""
        self._rpc = rpc
        self._channel = channel
        self._process = process
        self._target = target
        self._tasks: TaskGroup | None = None
        self._caller: Caller | None = None
        self._calls = 0
        self._in_flight = 0
        self._errors: Counter[str] = Counter()

    @property
    def alive(self) -> bool:
        return self._rpc.closed is None

    @property
    def in_flight(self) -> int:
        """Calls that wait for their answer."""
        return self._in_flight

    @property
    def heard(self) -> tuple[int, int]:
        """Bytes that have come from the server, and calls that have timed out."""
        return self._channel.bytes_in, self._errors["timeout"]

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        timeout: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Result:
        """Call a tool. Never raises for what the server does: that is an error in the `Result`.

        `timeout` is in seconds. A caller that is cancelled cancels the call on the server.
        `on_progress` must not raise.
        """
        assert self._caller is not None
        self._calls += 1
        self._in_flight += 1
        try:
            result = await self._caller.call(
                name, arguments, call_id=call_id, timeout=timeout, on_progress=on_progress
            )
        finally:
            self._in_flight -= 1
        if result.error_class is not None:
            self._errors[result.error_class] += 1
        return result

    async def refresh(self) -> None:
        """List the tools again. Raises ConnectionFailed."""
        assert self._caller is not None
        self.tools_changed = False
        try:
            await self._caller.refresh()
        except (MCPError, ValidationError, ListingError) as error:
            raise ConnectionFailed(f"{self.name}: cannot list its tools: {error}") from error
        self.tools = tuple(tool.spec for tool in self._caller.tools.values())

    async def ping(self, timeout: float = 10.0) -> float:
        """Ask for a sign of life. Returns the seconds it took; any answer will do.

        Raises ConnectionFailed when none comes within `timeout` seconds.
        """
        assert self._caller is not None
        started = anyio.current_time()
        outcome = await self._caller.ping(timeout)
        if isinstance(outcome, Lost):
            text = outcome.text or f"no answer within {timeout:g} s"
            raise ConnectionFailed(f"{self.name}: {text}")
        return anyio.current_time() - started

    async def wait_closed(self) -> str | None:
        """Wait until the session is over. Returns why, when the server went away by itself.

        By then the calls that were in flight have failed as `unavailable`.
        """
        return await self._rpc.wait_closed()

    def stderr_tail(self) -> str:
        """The end of what a server that is our child wrote to stderr."""
        return "" if self._process is None else self._process.stderr_tail()

    def statistics(self) -> dict[str, Any]:
        return {
            "calls": self._calls,
            "in_flight": self._in_flight,
            "errors": dict(self._errors),
            "bytes_in": self._channel.bytes_in,
            "bytes_out": self._channel.bytes_out,
            "refused_tools": 0 if self._caller is None else len(self._caller.refused),
            **self._rpc.statistics(),
        }

    async def adopt(self, session: ClientSession, max_result_bytes: int, tasks: TaskGroup) -> None:
        """Take over a session that has agreed on a revision, and list the tools. `tasks` lasts as
        long as the connection.

        Raises MCPError, ValidationError, ConnectionFailed.
        """
        self._tasks = tasks
        self.session = session
        self.protocol_version = session.protocol_version or ""
        self.server_info = session.server_info
        modern = is_modern(session.protocol_version)
        self._caller = Caller(
            self._rpc,
            session,
            max_result_bytes,
            self._target.caps,
            self._target.pins,
            modern=modern,
        )
        await self.refresh()
        for tool, reason in self._caller.refused.items():
            log.warning("tool left out", server=self.name, tool=tool, reason=reason)

    async def on_message(self, message: ServerNotification | Exception) -> None:
        """What the session surfaces."""
        # A server of 2026-07-28 says it within a subscription.
        if isinstance(message, ToolListChangedNotification) and not is_modern(
            self.protocol_version
        ):
            self.changed()

    def changed(self) -> None:
        """The server's tools are others now."""
        first = not self.tools_changed
        self.tools_changed = True
        if self.on_tools_changed is not None:
            self.on_tools_changed()
        if first and self._target.pins is not None and self._tasks is not None:
            self._tasks.start_soon(self._look_again)

    async def _look_again(self) -> None:
        """Approved tools that are others now end the session: calls are not what they were."""
        while self.tools_changed:
            try:
                await self.refresh()
            except ConnectionFailed as error:
                self._rpc.peer_gone(str(error))
                return


@asynccontextmanager
async def open_connection(
    target: Target,
    *,
    name: str,
    http: HttpClient | None = None,
    start_timeout: float = START_TIMEOUT,
    max_result_bytes: int = MAX_RESULT_BYTES,
    handlers: Handlers = Handlers(),  # noqa: B008 - frozen
) -> AsyncIterator[Connection]:
    """Open a session, list the server's tools, close the session when the block ends.

    Enter and leave it in the same task. `start_timeout` is in seconds and covers all of the
    opening. Without `http`, a connection over HTTP opens a client of its own. Raises
    ConnectionFailed.
    """
    async with AsyncExitStack() as stack:
        opening = _Opening(name, target, http, max_result_bytes, handlers, start_timeout)
        connection = await opening.enter(stack)
        yield connection


class _Opening:
    """One attempt, or two, at a session."""

    def __init__(
        self,
        name: str,
        target: Target,
        http: HttpClient | None,
        max_result_bytes: int,
        handlers: Handlers,
        timeout: float,
    ) -> None:
        self._name = name
        self._target = target
        self._http = http
        self._max = max_result_bytes
        self._handlers = handlers
        self._timeout = timeout
        self._deadline = anyio.current_time() + timeout
        self._own_session = isinstance(target, HttpTarget) and target.own_session

    async def enter(self, stack: AsyncExitStack) -> Connection:
        """Raises ConnectionFailed."""
        first = AsyncExitStack()
        await stack.enter_async_context(first)
        connection = await self._attempt(first, probe=not self._own_session)
        if connection is None:
            # Servers exist that end at any first message but `initialize`.
            await first.aclose()
            connection = await self._attempt(stack, probe=False)
        if connection is None:
            raise ConnectionFailed(f"{self._name}: the server ended during the handshake")
        return connection

    async def _attempt(self, stack: AsyncExitStack, *, probe: bool) -> Connection | None:
        """None when the process ended at our probe. Raises ConnectionFailed."""
        channel, process = await self._channel(stack)
        spare()
        rpc = JsonRpc(channel, max_unasked=self._target.caps.unasked)
        connection = Connection(self._name, rpc, channel, process, self._target)
        session = await stack.enter_async_context(
            transparent(
                ClientSession(
                    dispatcher=rpc,
                    sampling_callback=self._handlers.sampling,
                    elicitation_callback=self._handlers.elicitation,
                    list_roots_callback=self._handlers.roots,
                    logging_callback=self._handlers.logging,
                    message_handler=connection.on_message,
                    client_info=_CLIENT,
                )
            )
        )
        tasks = await stack.enter_async_context(background())
        with anyio.CancelScope(deadline=self._deadline):
            try:
                await negotiate(session, probe_timeout=_PROBE_TIMEOUT if probe else None)
                if not isinstance(self._target, HttpTarget) or self._target.listen:
                    await _listen(session, channel, connection, tasks)
                if self._own_session and not channel.session_id:
                    raise ConnectionFailed(
                        f"{self._name}: the server keeps no sessions, so all would share one state"
                    )
                await connection.adopt(session, self._max, tasks)
            except ConnectionFailed:
                raise
            except (MCPError, ValidationError, RuntimeError) as error:
                if probe and process is not None and rpc.closed is not None:
                    return None
                raise ConnectionFailed(self._why(rpc, process, str(error))) from error
            return connection
        text = f"the server did not answer in time ({self._timeout:g} s)"
        raise ConnectionFailed(self._why(rpc, process, text))

    async def _channel(
        self, stack: AsyncExitStack
    ) -> tuple[Stdio | StreamableHttp, Process | None]:
        target = self._target
        if isinstance(target, HttpTarget):
            http = self._http
            if http is None:
                http = await stack.enter_async_context(open_http())
            channel = StreamableHttp(http, target.url, target.headers, 4 * self._max + _ENVELOPE)
            stack.push_async_callback(channel.end_session)
            return channel, None
        try:
            process = await stack.enter_async_context(
                open_process(
                    target.command,
                    target.args,
                    env=target.env,
                    cwd=target.cwd,
                    grace=GRACE,
                    confine=target.confine,
                )
            )
        except ProcessError as error:
            raise ConnectionFailed(f"{self._name}: {error}") from error
        return Stdio(process, 4 * self._max + _ENVELOPE), process

    def _why(self, rpc: JsonRpc, process: Process | None, text: str) -> str:
        lines = [f"{self._name}: {rpc.closed or text}"]
        if rpc.noise:
            lines.append(f"it wrote to stdout: {rpc.noise.decode(errors='replace').strip()}")
        if process is not None and (tail := process.stderr_tail()):
            lines.append(f"it wrote to stderr: {tail[-_STDERR_SHOWN:]}")
        return "\n".join(lines)


async def _listen(
    session: ClientSession,
    channel: Stdio | StreamableHttp,
    connection: Connection,
    tasks: TaskGroup,
) -> None:
    """Hear from now on when the tools change."""
    if not is_modern(session.protocol_version):
        await channel.listen()
    elif announces_tools(session):
        await tasks.start(subscribe, session, connection.changed)
