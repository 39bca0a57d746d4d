"""One HTTP client over a pool of keep-alive connections of our own, whatever the event loop."""

import contextlib
import importlib
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Literal, NamedTuple, cast

import anyio
from yarl import URL

from nexau.transports._http_answer import CLOSED
from nexau.transports._http_library import NO_HEADERS
from nexau.transports._http_pool import Connection, Origin, Pool
from nexau.transports._http_target import (
    CONNECT_TIMEOUT,
    DEFAULT_HEADERS,
    MAX_REDIRECTS,
    Targets,
    redirected,
)
from nexau.transports.http import HttpClient, HttpError, HttpResponse

Library = Literal["aiohttp", "httpx2"]
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ILLEGAL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE", "OPTIONS"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_KNOWN_ROUTES = 1024
_KNOWN_HEADS = 512


class Route(NamedTuple):
    """What a URL comes to."""

    origin: Origin
    target: str
    """The request target."""
    host: str
    """The Host header."""
    authorization: str | None
    foreign: bool
    """Left to the library."""


@asynccontextmanager
async def opened(
    pool: Pool, limit: int, library: Library, *, tls: bool
) -> AsyncIterator["PoolClient"]:
    """A client over `pool`. HEAD, proxies, and TLS unless the pool speaks it, go to `library`."""
    async with AsyncExitStack() as stack:
        client = PoolClient(pool, limit, library, stack, tls=tls)
        try:
            yield client
        finally:
            with anyio.CancelScope(shield=True):
                await pool.aclose()


class PoolClient:
    def __init__(
        self, pool: Pool, limit: int, library: Library, stack: AsyncExitStack, *, tls: bool
    ) -> None:
        self.pool = pool
        self.now = pool.now
        self.slots = anyio.Semaphore(limit, fast_acquire=True) if limit else None
        self._limit = limit
        self._tls = tls
        self._library = library
        self._stack = stack
        self._targets = Targets()
        self._routes: dict[str, Route] = {}
        self._heads: dict[tuple[object, ...], bytes] = {}
        self._foreign: HttpClient | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> "_Exchange":
        return _Exchange(self, method, url, headers, body, timeout)

    def route(self, url: str) -> Route:
        """Raises `HttpError`."""
        known = self._routes.get(url)
        if known is None:
            if len(self._routes) >= _KNOWN_ROUTES:
                self._routes.clear()
            known = self._routes[url] = self._look_at(url)
        return known

    def _look_at(self, url: str) -> Route:
        target = self._targets.of(url)
        whole: URL | None = None
        with contextlib.suppress(ValueError):
            whole = URL(target.url)
        host, port, named = (
            (whole.raw_host, whole.port, whole.host_port_subcomponent) if whole else (None,) * 3
        )
        if whole is None or not host or not port or not named:
            raise HttpError("url", "not a URL that can be requested", url)
        origin = Origin(host, port, whole.scheme == "https")
        foreign = target.proxy is not None or (origin.tls and not self._tls)
        return Route(origin, whole.raw_path_qs, named, target.authorization, foreign)

    def head(self, key: tuple[object, ...]) -> bytes | None:
        """The encoded head of a request like this one."""
        return self._heads.get(key)

    def keep_head(self, key: tuple[object, ...], head: bytes) -> bytes:
        if len(self._heads) >= _KNOWN_HEADS:
            self._heads.clear()
        self._heads[key] = head
        return head

    async def foreign(self) -> HttpClient:
        """The library's client, which takes a tenth of a second or more to import."""
        if self._foreign is None:
            implementation = importlib.import_module(f"nexau.transports._http_{self._library}")
            opened = cast(
                "AbstractAsyncContextManager[HttpClient]", implementation.open_client(self._limit)
            )
            self._foreign = await self._stack.enter_async_context(opened)
        return self._foreign


class _Exchange:
    """One request and its answer; an `HttpResponse` once entered."""

    __slots__ = (
        "_body", "_client", "_connection", "_delegate", "_headers", "_method", "_origin",
        "_timeout", "_until", "_url",
    )  # fmt: skip

    def __init__(
        self,
        client: PoolClient,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> None:
        self._client = client
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._timeout = timeout
        self._until: float | None = None
        self._connection: Connection | None = None
        self._delegate: AbstractAsyncContextManager[HttpResponse] | None = None
        self._origin: Origin

    async def __aenter__(self) -> HttpResponse:
        client = self._client
        route = client.route(self._url)
        if route.foreign or self._method == "HEAD":
            foreign = await client.foreign()
            self._delegate = foreign.request(
                self._method, self._url,
                headers=self._headers, body=self._body, timeout=self._timeout,
            )  # fmt: skip
            return await self._delegate.__aenter__()
        if self._timeout is not None:
            self._until = client.now() + self._timeout
        if client.slots is not None:
            await self._slot(client.slots)
        self._origin = route.origin
        try:
            return await self._follow(route)
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._delegate is not None:
            await self._delegate.__aexit__(kind, error, traceback)
        else:
            self._leave()

    async def _slot(self, slots: anyio.Semaphore) -> None:
        if self._until is None:
            await slots.acquire()
            return
        with anyio.CancelScope(deadline=self._until):
            await slots.acquire()
            return
        raise HttpError("timeout", "timed out", self._url)

    async def _follow(self, route: Route) -> "_Response":
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            connection = await self._ask(route, url)
            target = redirected(url, connection.status, connection.headers.get("location"))
            if target is None:
                return _Response(connection, url)
            await connection.read()
            self._let_go()
            url, route = target, self._client.route(target)
        raise HttpError("protocol", f"more than {MAX_REDIRECTS} redirects", url)

    async def _ask(self, route: Route, url: str) -> Connection:
        """A connection on which the answer has begun."""
        head = self._head(route, url)
        reused = self._client.pool.take(route.origin)
        while True:
            connection = reused or await self._connect(route.origin, url)
            self._connection = connection
            connection.send(head, self._body, self._until)
            if await connection.head():
                return connection
            if not (reused and self._method in _IDEMPOTENT and _went_stale(connection)):
                raise _failed(connection, url)
            self._let_go()
            reused = None

    async def _connect(self, origin: Origin, url: str) -> Connection:
        """As the library's errors may be chained to what shows a secret, none is a context."""
        latest = self._client.now() + CONNECT_TIMEOUT
        until = latest if self._until is None else min(latest, self._until)
        connection: Connection | None = None
        failure: HttpError | None = None
        with anyio.CancelScope(deadline=until) as scope:
            try:
                connection = await self._client.pool.connect(origin)
            except (OSError, UnicodeError) as error:
                failure = _not_connected(error, url)
        if connection is not None:
            return connection
        if failure is None and scope.cancelled_caught:
            failure = (
                HttpError("timeout", "timed out", url)
                if until < latest
                else HttpError("connect", "timed out while connecting", url)
            )
        assert failure is not None
        raise failure

    def _head(self, route: Route, url: str) -> bytes:
        key = (self._method, route, *self._headers.items())
        head = self._client.head(key)
        if head is None:
            head = self._client.keep_head(key, self._encoded(route, url))
        if self._body is not None or self._method in _WITH_BODY:
            return b"%bcontent-length: %d\r\n\r\n" % (head, len(self._body or b""))
        return head + b"\r\n"

    def _encoded(self, route: Route, url: str) -> bytes:
        """All of the head but the length of the body and the empty line."""
        lines = [f"{self._method} {route.target} HTTP/1.1\r\nhost: {route.host}"]
        given: set[str] = set()
        for name, value in self._headers.items():
            if _ILLEGAL.search(value) or not _NAME.fullmatch(name):
                raise HttpError("protocol", "the request cannot be sent: an illegal header", url)
            given.add(name.lower())
            lines.append(f"{name}: {value}")
        lines += [f"{name}: {value}" for name, value in DEFAULT_HEADERS if name not in given]
        if route.authorization is not None and "authorization" not in given:
            lines.append(f"authorization: {route.authorization}")
        lines.append("")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")

    def _let_go(self) -> None:
        """The connection is used again where the answer has been received to its end."""
        if self._connection is not None:
            self._connection.leave()
            self._client.pool.give_back(self._origin, self._connection)
            self._connection = None

    def _leave(self) -> None:
        self._let_go()
        if self._client.slots is not None:
            self._client.slots.release()


class _Response:
    __slots__ = ("_connection", "_url", "headers", "status")

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers

    async def read(self) -> bytes:
        body = await self._connection.read()
        if body is None:
            raise _failed(self._connection, self._url)
        return body

    def chunks(self) -> AsyncIterator[bytes]:
        return _Chunks(self._connection, self._url)


class _Chunks:
    """Not an async generator: those must be closed by whoever stops early."""

    __slots__ = ("_connection", "_url")

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._connection.chunk()
        if chunk is None:
            raise _failed(self._connection, self._url)
        if not chunk:
            raise StopAsyncIteration
        return chunk


def _went_stale(connection: Connection) -> bool:
    """Closed by the server while it was idle, as far as one can tell."""
    failure = connection.failure
    return failure is not None and failure[0] == "closed" and not connection.begun


def _failed(connection: Connection, url: str) -> HttpError:
    kind, message = connection.failure or ("closed", CLOSED)
    return HttpError(kind, message, url)


def _not_connected(error: OSError | UnicodeError, url: str) -> HttpError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return HttpError("tls", f"the certificate is not trusted: {error.verify_message}", url)
    if isinstance(error, ssl.SSLError):
        reason = f": {error.reason}" if error.reason else ""
        return HttpError("tls", f"the TLS handshake failed{reason}", url)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return HttpError("connect", "the host name does not resolve", url)
    # The event loops put words of their own where strerror's should be.
    reason = f": {os.strerror(error.errno)}" if error.errno else ""
    return HttpError("connect", f"cannot connect{reason}", url)
