"""`HttpClient` over httpx2, for what `_http_sockets` leaves to it: TLS, proxies, and HEAD.

httpx2's client keeps cookies, and its transport leaves a body's generator to the garbage collector
when the reader stops early, which trio reports. So this drives httpx2's connection pool
(httpcore2) and takes the URL and the content decoding from httpx2.
"""

import functools
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext

import anyio
import httpcore2
import httpx2

from nexau.transports._http_library import Exchange, LibraryClient, LibraryResponse
from nexau.transports._http_network import Network
from nexau.transports._http_target import (
    CONNECT_TIMEOUT,
    DEFAULT_HEADERS,
    KEEPALIVE,
    Target,
    Targets,
    lowered,
)
from nexau.transports.http import HttpError, HttpFailure

_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    httpx2.DecodingError,
    httpx2.InvalidURL,
    OSError,
    ValueError,
)

_NEVER: AbstractContextManager[object] = nullcontext()
_TIMEOUTS = {"timeout": {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}}


@asynccontextmanager
async def open_client(limit: int) -> AsyncIterator["Httpx2Client"]:
    async with AsyncExitStack() as pools:
        try:
            yield Httpx2Client(limit, pools)
        finally:
            with anyio.CancelScope(shield=True):
                await pools.aclose()


@functools.cache
def _tls() -> ssl.SSLContext:
    # The same store as aiohttp's. Costs 20 ms of CPU or more.
    return ssl.create_default_context()


class Httpx2Client(LibraryClient["_Response"]):
    errors = _ERRORS

    def __init__(self, limit: int, pools: AsyncExitStack) -> None:
        self._limit = limit or None
        self._exit = pools
        self._pools: dict[str | None, httpcore2.AsyncConnectionPool] = {}
        self._targets = Targets()

    async def send(self, exchange: Exchange["_Response"], url: str) -> "_Response":
        target = self._targets.of(url)
        address = httpx2.URL(target.url)
        request = httpcore2.Request(
            exchange.method,
            httpcore2.URL(
                scheme=address.raw_scheme,
                host=address.raw_host,
                port=address.port,
                target=address.raw_path,
            ),
            headers=_raw_headers(exchange, target, address.netloc),
            content=exchange.body,
            extensions=_TIMEOUTS,
        )
        with _until(exchange.deadline):
            answer = await self._pool(target.proxy).handle_async_request(request)
        response = httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))
        return _Response(response, url, exchange.deadline)

    def failure(self, error: Exception, url: str) -> HttpError:
        return _failure(error, url)

    def _pool(self, proxy: str | None) -> httpcore2.AsyncConnectionPool:
        pool = self._pools.get(proxy)
        if pool is None:
            pool = self._pools[proxy] = httpcore2.AsyncConnectionPool(
                ssl_context=_tls(),
                proxy=None if proxy is None else _proxy(proxy),
                max_connections=self._limit,
                keepalive_expiry=KEEPALIVE,
                network_backend=Network(),
            )
            self._exit.push_async_callback(pool.aclose)
        return pool


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        # The pool's own generator, which closes what it iterates over when it is closed.
        return self._response.aiter_stream()

    async def aclose(self) -> None:
        await self._response.aclose()


def _raw_headers(
    exchange: Exchange["_Response"], target: Target, host: bytes
) -> list[tuple[bytes, bytes]]:
    headers = dict(DEFAULT_HEADERS)
    if target.authorization is not None:
        headers["authorization"] = target.authorization
    headers |= {name.lower(): value for name, value in exchange.headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    raw.insert(0, (b"host", host))
    if exchange.body is not None:
        raw.append((b"content-length", b"%d" % len(exchange.body)))
    return raw


def _proxy(url: str) -> httpcore2.Proxy:
    address = httpx2.URL(url)
    auth = (address.username, address.password) if address.userinfo else None
    bare = httpcore2.URL(
        scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=b"/"
    )
    return httpcore2.Proxy(bare, auth=auth)


class _Response(LibraryResponse):
    __slots__ = ("_chunks", "_deadline", "_headers", "_response")

    def __init__(self, response: httpx2.Response, url: str, deadline: float | None) -> None:
        super().__init__(response.status_code, url)
        self._response = response
        self._deadline = deadline
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        if self._headers is None:
            self._headers = lowered(self._response.headers.multi_items())
        return self._headers

    def chunks(self) -> AsyncIterator[bytes]:
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = self._response.aiter_bytes()
        return _Chunks(chunks, self.url, self._deadline)

    async def leave(self) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()
        await self._response.aclose()


class _Chunks:
    __slots__ = ("_deadline", "_source", "_url")

    def __init__(
        self, source: AsyncGenerator[bytes, None], url: str, deadline: float | None
    ) -> None:
        self._source = source
        self._url = url
        self._deadline = deadline

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            with _until(self._deadline):
                return await anext(self._source)
        except _ERRORS as error:
            failure = _failure(error, self._url)
        raise failure


def _until(deadline: float | None) -> AbstractContextManager[object]:
    if deadline is None:
        return _NEVER
    return anyio.fail_after(max(0.0, deadline - anyio.current_time()))


_CLOSED = "the connection was closed before the answer was whole"
_KINDS: tuple[tuple[type[Exception], HttpFailure, str], ...] = (
    (httpcore2.ConnectTimeout, "connect", "timed out while connecting"),
    (httpcore2.TimeoutException, "timeout", "timed out"),
    (TimeoutError, "timeout", "timed out"),
    (httpcore2.ProxyError, "connect", "the proxy refused"),
    (httpx2.DecodingError, "closed", "the answer broke off or does not decode"),
    (httpcore2.LocalProtocolError, "protocol", "the request cannot be sent: an illegal header"),
    (httpcore2.UnsupportedProtocol, "url", "not a URL that can be requested"),
    (httpx2.InvalidURL, "url", "not a URL that can be requested"),
    (ValueError, "protocol", "the request cannot be sent: an illegal header"),
)
"""First match counts: subclasses stand before their bases."""


def _failure(error: Exception, url: str) -> HttpError:
    if isinstance(error, httpcore2.ConnectError):
        return _connect_failure(error, url)
    if isinstance(error, httpcore2.RemoteProtocolError):
        return _remote_failure(error, url)
    for kind, failure, message in _KINDS:
        if isinstance(error, kind):
            return HttpError(failure, message, url)
    return HttpError("closed", _CLOSED, url)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        cause = seen.__cause__ or seen.__context__
        seen = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause


def _connect_failure(error: httpcore2.ConnectError, url: str) -> HttpError:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return HttpError("tls", f"the certificate is not trusted: {cause.verify_message}", url)
        if isinstance(cause, ssl.SSLError):
            return HttpError("tls", f"the TLS handshake failed: {cause.reason}", url)
        if isinstance(cause, socket.gaierror):
            return HttpError("connect", "the host name does not resolve", url)
        if isinstance(cause, OSError) and cause.errno is not None:
            return HttpError("connect", f"cannot connect: {os.strerror(cause.errno)}", url)
    return HttpError("connect", "cannot connect", url)


def _remote_failure(error: httpcore2.RemoteProtocolError, url: str) -> HttpError:
    # One class for both: h11 says "peer closed", httpcore2 "disconnected".
    text = str(error).lower()
    if "disconnected" in text or "closed" in text:
        return HttpError("closed", _CLOSED, url)
    return HttpError("protocol", "the answer is not HTTP", url)
