"""The connections of one HTTP client: opened, shared, and closed when idle."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import anyio

from nexau.transports._http_target import KEEPALIVE
from nexau.transports.http import HttpFailure


class Origin(NamedTuple):
    host: str
    port: int
    tls: bool


class Connection(Protocol):
    """Carries one exchange after another: `send`, `head`, then `read` or `chunk`, and `leave`."""

    idle_since: float

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def failure(self) -> tuple[HttpFailure, str] | None: ...

    @property
    def begun(self) -> bool: ...

    @property
    def reusable(self) -> bool: ...

    def send(self, head: bytes, body: bytes | None, until: float | None) -> None: ...

    async def head(self) -> bool: ...

    async def read(self) -> bytes | None: ...

    async def chunk(self) -> bytes | None: ...

    def leave(self) -> None: ...

    def fail(self, kind: HttpFailure, message: str) -> None: ...

    def abort(self) -> None: ...


class Timer(Protocol):
    def cancel(self) -> object: ...


Connect = Callable[[Origin, Callable[[Any], None]], Awaitable[Connection]]
"""Makes a connection, which calls back when it is closed. Raises `OSError`, which `ssl.SSLError` is
too, or `UnicodeError`."""


class Pool:
    """At most `limit` connections are meant to be in use: an idle one of another origin gives way.
    0 sets no bound. `now` and `call_at` are the event loop's."""

    def __init__(
        self,
        limit: int,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Timer],
        connect: Connect,
    ) -> None:
        self.now = now
        self._call_at = call_at
        self._connect = connect
        self._limit = limit
        self._idle: dict[Origin, list[Connection]] = {}
        """Last used last, which is the one that is used next."""
        self._open: set[Connection] = set()
        self._connecting = 0
        self._all_closed: anyio.Event | None = None
        self._sweep: Timer | None = None

    def take(self, origin: Origin) -> Connection | None:
        """A connection that is open and free."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
            connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        if not connection.reusable or self._all_closed is not None:
            connection.abort()
            return
        connection.idle_since = self.now()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._call_at(self.now() + KEEPALIVE, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        until = self.now() - KEEPALIVE
        for origin, idle in list(self._idle.items()):
            fresh = [each for each in idle if each.idle_since > until]
            for connection in idle[: len(idle) - len(fresh)]:
                connection.abort()
            if fresh:
                idle[:] = fresh
            else:
                del self._idle[origin]
        if self._idle:
            oldest = min(idle[0].idle_since for idle in self._idle.values())
            self._sweep = self._call_at(oldest + KEEPALIVE, self._close_idle)

    async def connect(self, origin: Origin) -> Connection:
        """Raises what `Connect` does."""
        if self._limit and len(self._open) + self._connecting >= self._limit:
            self._close_one_idle()
        self._connecting += 1
        try:
            connection = await self._connect(origin, self._lost)
        finally:
            self._connecting -= 1
        self._open.add(connection)
        return connection

    def _close_one_idle(self) -> None:
        for idle in self._idle.values():
            if idle:
                idle.pop(0).abort()
                return

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._all_closed is not None and not self._open:
            self._all_closed.set()

    async def aclose(self) -> None:
        self._all_closed = anyio.Event()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.fail("closed", "the client was closed")
        if self._open:
            await self._all_closed.wait()
        self._idle.clear()
