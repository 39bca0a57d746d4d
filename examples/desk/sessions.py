"""Who sees which state: one for the process, or one for each MCP session."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rules import Desk

IDLE = 600.0
"""Seconds without a request after which the SDK ends a session."""
_GRACE = 60.0
_SWEEP = 30.0


class OneState:
    """The whole process shares one state."""

    def __init__(self, make: Callable[[], Desk]) -> None:
        self._make = make
        self._desk = make()

    def of(self, _: str | None) -> Desk:
        return self._desk

    def reset(self, _: str | None) -> None:
        self._desk.db.close()
        self._desk = self._make()


@dataclass(slots=True)
class _Session:
    desk: Desk | None = None
    busy: int = 0
    """Requests in flight."""
    used: float = 0.0
    ended: bool = False


class StatePerSession:
    """Every MCP session sees a copy of its own, made at its first call.

    The SDK has no public hook for the end of a session, so this watches the requests go by. A
    DELETE that succeeds ends one. So does a silence longer than the SDK itself bears: by then the
    session id answers 404, and its state cannot be asked for again.
    """

    def __init__(
        self, make: Callable[[], Desk], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._swept = clock()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, session: str | None) -> Desk:
        """Raises MCPError for a request outside any session: there is no state it could see."""
        entry = self._entry(session)
        if entry.desk is None:
            entry.desk = self._make()
        return entry.desk

    def reset(self, session: str | None) -> None:
        _close(self._entry(session))

    def around(self, app: ASGIApp) -> ASGIApp:
        """The same application, watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["method"] == "GET":
                # The desk never speaks unasked, so no stream is kept open for it.
                refusal = Response(status_code=405, headers={"Allow": "POST, DELETE"})
                await refusal(scope, receive, send)
                return
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
            _close(entry)


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


def _close(entry: _Session) -> None:
    if entry.desk is not None:
        entry.desk.db.close()
        entry.desk = None
