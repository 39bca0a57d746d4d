"""Who sees which state: everyone the same one, or each MCP session its own."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from msgspec import Struct
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexau.synth.worlds.state import State, Template

IDLE = 600.0
"""Seconds without a request after which the SDK ends a session."""
_GRACE = 60.0
_SWEEP = 30.0


class Seat(Struct):
    """A state, the one it began as, and how many calls it has seen."""

    state: State
    before: State
    calls: int = 0

    def close(self) -> None:
        self.state.close()


class States(Protocol):
    def of(self, session: str | None) -> Seat: ...

    def reset(self, session: str | None) -> None: ...


class Seats:
    """Makes states from a template; the initial one, which nobody changes, is shared."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._before = template.state()
        self._before.keep()

    def make(self) -> Seat:
        return Seat(self._template.state(), self._before)

    def close(self) -> None:
        self._before.close()


class OneState:
    """Everyone shares one state: a process over stdio, or sessions that are to meet."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self._seat = seats.make()

    def of(self, _: str | None) -> Seat:
        return self._seat

    def reset(self, _: str | None) -> None:
        self._seat.close()
        self._seat = self._seats.make()

    def close(self) -> None:
        self._seat.close()


class _Session(Struct):
    seat: Seat | None = None
    busy: int = 0
    """Requests in flight."""
    used: float = 0.0
    ended: bool = False

    def close(self) -> None:
        if self.seat is not None:
            self.seat.close()
            self.seat = None


class StatePerSession:
    """Every MCP session over HTTP sees a copy of its own, made at its first call.

    The SDK has no public hook for the end of a session, so this watches the requests go by. A
    DELETE that succeeds ends one. So does a silence longer than the SDK itself bears: by then the
    session id answers 404, and its state cannot be asked for again.
    """

    def __init__(self, seats: Seats, clock: Callable[[], float] = time.monotonic) -> None:
        self._seats = seats
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._swept = clock()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, session: str | None) -> Seat:
        """Raises MCPError for a request outside any session: there is no state it could see."""
        entry = self._entry(session)
        if entry.seat is None:
            entry.seat = self._seats.make()
        return entry.seat

    def reset(self, session: str | None) -> None:
        self._entry(session).close()

    def close(self) -> None:
        for entry in self._sessions.values():
            entry.close()
        self._sessions.clear()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The same application, watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            session = _session_id(scope)
            if session is None:
                await app(scope, receive, send)
                return
            entry = self._sessions.setdefault(session, _Session())

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    deleted = scope["method"] == "DELETE" and status < 300
                    entry.ended = entry.ended or deleted or status == 404
                await send(message)

            entry.busy += 1
            try:
                await app(scope, receive, watch)
            finally:
                self._finish(session, entry)

        return watched

    def _entry(self, session: str | None) -> _Session:
        entry = self._sessions.get(session) if session is not None else None
        if entry is None:
            raise _refusal("")
        return entry

    def _finish(self, session: str, entry: _Session) -> None:
        now = self._clock()
        entry.busy -= 1
        entry.used = now
        if entry.ended and not entry.busy:
            self._drop(session)
        if now - self._swept > _SWEEP:
            self._swept = now
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        for session, entry in list(self._sessions.items()):
            if not entry.busy and now - entry.used > IDLE + _GRACE:
                self._drop(session)

    def _drop(self, session: str) -> None:
        entry = self._sessions.pop(session, None)
        if entry is not None:
            entry.close()


def without_streams(app: ASGIApp) -> ASGIApp:
    """Refuses GET: a world never speaks unasked, so no stream is kept open for it."""

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            refusal = Response(status_code=405, headers={"Allow": "POST, DELETE"})
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    return refusing


async def refuse_stateless(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Middleware: revision 2026-07-28 has no session that a state could belong to.

    A client that tries it first is told which revisions there are, and falls back to `initialize`.
    """
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        raise _refusal(ctx.protocol_version)
    return await call_next(ctx)


def _refusal(requested: str) -> MCPError:
    return MCPError(
        code=UNSUPPORTED_PROTOCOL_VERSION,
        message="this server keeps a state for each session, so it needs a revision with sessions",
        data={"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": requested},
    )


def _session_id(scope: Scope) -> str | None:
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == b"mcp-session-id":
            return str(value, "latin-1")
    return None
