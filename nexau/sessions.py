"""Sessions of MCP servers as actors: held, restarted, shared, or taken in turns by rollouts."""

from collections.abc import Awaitable, Callable

import anyio
from msgspec import Struct
from msgspec.structs import replace

from nexau.actors import Actor, PoolRef
from nexau.latency.replayed import Replay, Ticket, pause_until
from nexau.resilience import Care
from nexau.spill import Spill
from nexau.transports.adaptive import Gate
from nexau.transports.caller import OnProgress
from nexau.transports.connection import (
    Connection,
    ConnectionFailed,
    HttpTarget,
    StdioTarget,
    open_connection,
)
from nexau.transports.http import HttpClient
from nexau.transports.log import get_logger
from nexau.transports.protocol import Call, ErrorClass, Result, Timing, failure

log = get_logger("nexau.sessions")

Target = StdioTarget | HttpTarget

PING_SECONDS = 10.0
"""For a sign of life."""
_OVERLOADED: frozenset[ErrorClass | None] = frozenset({"timeout", "unavailable"})


class SessionLost(Exception):
    """The server went away by itself."""


class Link:
    """The way from callers to the live connection, which comes and goes with restarts."""

    __slots__ = ("_changed", "connection", "failed", "name", "opened")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection: Connection | None = None
        self.failed: str | None = None
        """Why there will be no connection any more."""
        self.opened = 0
        """How often a connection was made."""
        self._changed = anyio.Event()

    def up(self, connection: Connection) -> None:
        self.connection = connection
        self.opened += 1
        self._notify()

    def down(self) -> None:
        self.connection = None

    def fail(self, reason: str) -> None:
        self.connection = None
        if self.failed is None:
            self.failed = reason
        self._notify()

    async def wait(self) -> Connection | None:
        """The live connection, as soon as there is one; None once it has failed for good."""
        while self.failed is None:
            if self.connection is not None and self.connection.alive:
                return self.connection
            await self._changed.wait()
        return None

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class SessionActor(Actor):
    """Owns one connection: opens, holds and closes it in one background task.

    `lasting` sessions keep their link over restarts. The others end with their connection,
    because their state is gone with it.
    """

    expected = (SessionLost,)

    def __init__(
        self,
        link: Link,
        target: Target,
        http: HttpClient,
        *,
        start_timeout: float,
        max_result_bytes: int,
        health: float | None,
        lasting: bool,
    ) -> None:
        self.link = link
        self.target = target
        self.http = http
        self.start_timeout = start_timeout
        self.max_result_bytes = max_result_bytes
        self.health = health
        self.lasting = lasting

    async def started(self) -> None:
        self.context.start_soon(self._hold, name="connection")

    async def stopped(self) -> None:
        self.link.down()

    async def _hold(self) -> None:
        link = self.link
        try:
            async with open_connection(
                self.target,
                name=link.name,
                http=self.http,
                start_timeout=self.start_timeout,
                max_result_bytes=self.max_result_bytes,
            ) as connection:
                link.up(connection)
                reason = await self._until_gone(connection)
        except ConnectionFailed as error:
            if not link.opened or not self.lasting:
                link.fail(str(error))
            raise SessionLost(str(error)) from None
        finally:
            link.down()
        text = f"server {link.name!r} went away: {reason or 'no reason given'}"
        if not self.lasting:
            link.fail(text)
        raise SessionLost(text)

    async def _until_gone(self, connection: Connection) -> str | None:
        """Why it is of no use any more."""
        heard, answers = Heard(connection), False
        while self.health is not None:
            with anyio.move_on_after(self.health):
                return await connection.wait_closed()
            if heard.needs_a_ping():
                try:
                    await connection.ping(PING_SECONDS)
                except ConnectionFailed as error:
                    if answers or heard.timeouts:
                        return f"no sign of life: {error}"
                    # It may be well, and not know the request, though the protocol asks for it.
                    log.info("server answers no pings", server=self.link.name)
                    break
                answers = True
        return await connection.wait_closed()


class Heard:
    """Tells when a server has been silent without a reason."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bytes, self.timeouts = connection.heard

    def needs_a_ping(self) -> bool:
        """Whether nothing has come since this was asked last. A server that works on a call is
        left in peace, unless one has timed out meanwhile."""
        (count, timeouts), in_flight = self._connection.heard, self._connection.in_flight
        silent = count == self._bytes and (not in_flight or timeouts != self.timeouts)
        self._bytes, self.timeouts = count, timeouts
        return silent


class McpTool(Actor):
    """Answers one `Call` at a time over a session; a pool of these serves many at once."""

    def __init__(self, link: Link, timeout: float, spill: Spill | None = None) -> None:
        self.link = link
        self.timeout = timeout
        self.spill = spill

    async def receive(self, message: "Call | Told") -> Result:
        if type(message) is Call:
            return await self._answer(message, None)
        return await self._answer(message.call, message.on_progress)  # type: ignore[union-attr]

    async def _answer(self, message: Call, on_progress: OnProgress | None) -> Result:
        connection = self.link.connection
        timeout = self.timeout
        if message.deadline is not None:
            timeout = min(timeout, max(0.0, message.deadline - anyio.current_time()))
        if connection is None or not connection.alive:
            connection = None
            with anyio.move_on_after(timeout):
                connection = await self.link.wait()
            if connection is None:
                reason = self.link.failed or f"server {self.link.name!r} is restarting"
                return failure(message.id, "unavailable", reason)
        result = await connection.call(
            message.name,
            message.arguments,
            call_id=message.id,
            timeout=timeout,
            on_progress=on_progress,
        )
        return result if self.spill is None else await self._relieved(self.spill, result)

    async def _relieved(self, spill: Spill, result: Result) -> Result:
        try:
            return await spill.relieve(result)
        except OSError as error:
            # A full disk loses no result, and is no fault of the server's.
            log.warning("a big result stays whole", server=self.link.name, reason=str(error))
            return result


class Told(Struct, frozen=True):
    """A call, the seed of the rollout that it belongs to, and who wants to hear how far it is."""

    call: Call
    seed: int = 0
    on_progress: OnProgress | None = None
    ticket: Ticket | None = None
    """Where latency is replayed."""


class ReplayTool(McpTool):
    """As `McpTool`, of a server with recorded latency: an answer comes no sooner than a recorded
    one did, and fails as often.

    A call that fails so never reaches the server. One that would outlast its timeout or deadline
    does, and ends with `timeout` when that is over.
    """

    def __init__(
        self, link: Link, timeout: float, replay: Replay, spill: Spill | None = None
    ) -> None:
        super().__init__(link, timeout, spill)
        self.replay = replay

    async def receive(self, message: Call | Told) -> Result:
        told = Told(message) if isinstance(message, Call) else message
        call, seed = told.call, told.seed
        replay = self.replay
        ticket = told.ticket or Ticket(replay.clock())
        limit = self.timeout
        if call.deadline is not None:
            limit = min(limit, max(0.0, call.deadline - anyio.current_time()))
        replay.in_flight += 1
        try:
            drawn = replay.draw(seed, call.trace, call.id, call.name)
            if drawn.error_class is None:
                result = await self._answer(call, told.on_progress)
            else:
                result = failure(call.id, drawn.error_class, drawn.text or "as recorded")
            due = ticket.sent + min(drawn.seconds, limit)
            if replay.clock() < due - replay.lateness.seconds:
                ticket.due = due
                await pause_until(due - replay.lateness.seconds, replay.clock)
        finally:
            replay.in_flight -= 1
        if drawn.seconds > limit:
            text = f"{call.name} did not answer within {limit:g} s"
            return failure(call.id, "timeout", text)
        return result


def answering(
    link: Link, timeout: float, replay: Replay | None, spill: Spill | None = None
) -> Callable[[], McpTool]:
    """Makes the actors that answer calls over `link`."""
    if replay is None:
        return lambda: McpTool(link, timeout, spill)
    return lambda: ReplayTool(link, timeout, replay, spill)


class Session:
    """What a rollout holds of a server: a link and the tool actors that use it."""

    __slots__ = ("callers", "care", "gate", "lease", "link", "replay", "uses")

    def __init__(
        self,
        link: Link,
        callers: PoolRef,
        gate: Gate | None = None,
        *,
        replay: Replay | None = None,
        care: Care | None = None,
    ) -> None:
        self.link = link
        self.callers = callers
        self.care = care
        """What is done about failures; None where nothing is."""
        self.gate = gate
        self.replay = replay
        """That of the callers, where they are `ReplayTool`s."""
        self.uses = 0
        self.lease: object = None

    def ask(
        self, call: Call, seed: int, on_progress: OnProgress | None = None
    ) -> Awaitable[Result]:
        if self.care is not None:
            return self.care.call(
                lambda one: self._ask(one, seed, on_progress), call, self._is_gone
            )
        return self._ask(call, seed, on_progress)

    def _is_gone(self) -> bool:
        return self.link.failed is not None

    def _ask(self, call: Call, seed: int, on_progress: OnProgress | None) -> Awaitable[Result]:
        if self.gate is not None:
            return self._in_turn(self.gate, call, seed, on_progress)
        return self._send(call, seed, on_progress)

    def _send(self, call: Call, seed: int, on_progress: OnProgress | None) -> Awaitable[Result]:
        if self.replay is not None:
            return self._replayed(self.replay, call, seed, on_progress)
        return self.callers.ask(call if on_progress is None else Told(call, seed, on_progress))

    async def _replayed(
        self, replay: Replay, call: Call, seed: int, on_progress: OnProgress | None
    ) -> Result:
        ticket = Ticket(replay.clock())
        result: Result = await self.callers.ask(Told(call, seed, on_progress, ticket))
        if ticket.due is not None:
            replay.lateness.observed(replay.clock() - ticket.due)
        return result

    async def _in_turn(
        self, gate: Gate, call: Call, seed: int, on_progress: OnProgress | None
    ) -> Result:
        began = anyio.current_time()
        await gate.enter()
        entered = anyio.current_time()
        result: Result | None = None
        try:
            result = await self._send(call, seed, on_progress)
        finally:
            failed = result is not None and result.error_class in _OVERLOADED
            gate.leave(anyio.current_time(), failed=failed, counts=result is not None)
        assert result is not None
        return replace(result, timing=Timing(queue=entered - began))
