"""`HttpClient` for asyncio: keep-alive HTTP/1.1 connections of our own.

aiohttp's connector and its objects for each request cost most of what a request costs at 1,024 in
flight. Proxies, and HEAD, are left to aiohttp.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import aiohappyeyeballs
import anyio

from nexau.transports._http_client import PoolClient, opened
from nexau.transports._http_connection import Connection
from nexau.transports._http_pool import Origin, Pool

_HAPPY_EYEBALLS = 0.25
"""Seconds before the next address is tried beside the first (RFC 8305)."""
_RESOLVED = 10.0
"""Seconds that an address is remembered."""


@asynccontextmanager
async def open_client(limit: int) -> AsyncIterator[PoolClient]:
    loop = asyncio.get_running_loop()
    pool = Pool(limit, loop.time, loop.call_at, _Network(loop).connect)
    async with opened(pool, limit, "aiohttp", tls=True) as client:
        yield client


@functools.cache
def tls_context() -> ssl.SSLContext:
    # Costs 20 ms of CPU or more.
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Network:
    """Makes connections, and remembers addresses."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._addresses: dict[Origin, tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._resolving: dict[Origin, anyio.Lock] = {}

    async def connect(self, origin: Origin, on_lost: Callable[[Connection], None]) -> Connection:
        """Raises `OSError`, which `ssl.SSLError` is too."""
        addresses = await self._resolve(origin)
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS, loop=self._loop
        )
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, on_lost),
                sock=sock,
                ssl=tls_context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            sock.close()
            raise
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
