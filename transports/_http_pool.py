"""The connections of one HTTP client on asyncio: opened, shared, and closed when idle."""

import asyncio
import functools
import socket
import ssl
from typing import NamedTuple, cast

import aiohappyeyeballs
import anyio

from nexau.transports._http_connection import CLOSED, Connection
from nexau.transports._http_target import KEEPALIVE

_HAPPY_EYEBALLS = 0.25
"""Seconds before the next address is tried beside the first (RFC 8305)."""
_RESOLVED = 10.0
"""Seconds that an address is remembered."""


class Origin(NamedTuple):
    host: str
    port: int
    tls: bool


@functools.cache
def tls_context() -> ssl.SSLContext:
    # Costs 20 ms of CPU or more.
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Pool:
    """At most `limit` connections are meant to be in use: an idle one of another origin gives way.
    0 sets no bound."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._idle: dict[Origin, list[Connection]] = {}
        """Last used last, which is the one that is used next."""
        self._open: set[Connection] = set()
        self._connecting = 0
        self._all_closed: asyncio.Event | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._addresses: dict[Origin, tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._resolving: dict[Origin, anyio.Lock] = {}

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
        connection.idle_since = self._loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEEPALIVE, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        until = self._loop.time() - KEEPALIVE
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
            self._sweep = self._loop.call_at(oldest + KEEPALIVE, self._close_idle)

    async def connect(self, origin: Origin) -> Connection:
        """Raises `OSError`, which `ssl.SSLError` is too."""
        if self._limit and len(self._open) + self._connecting >= self._limit:
            self._close_one_idle()
        self._connecting += 1
        try:
            addresses = await self._resolve(origin)
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS, loop=self._loop
            )
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._lost),
                    sock=sock,
                    ssl=tls_context() if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
            except BaseException:
                sock.close()
                raise
        finally:
            self._connecting -= 1
        self._open.add(connection)
        return connection

    async def _resolve(self, origin: Origin) -> list[aiohappyeyeballs.AddrInfoType]:
        lock = self._resolving.setdefault(origin, anyio.Lock(fast_acquire=True))
        async with lock:
            until, known = self._addresses.get(origin, (0.0, []))
            if self._loop.time() >= until:
                found = await self._loop.getaddrinfo(
                    origin.host, origin.port, type=socket.SOCK_STREAM
                )
                known = cast("list[aiohappyeyeballs.AddrInfoType]", found)
                self._addresses[origin] = (self._loop.time() + _RESOLVED, known)
        return known

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
        self._all_closed = asyncio.Event()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.fail("closed", CLOSED)
        if self._open:
            await self._all_closed.wait()
        self._idle.clear()
