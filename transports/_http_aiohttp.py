"""`HttpClient` over aiohttp, for what `_http_asyncio` leaves to it: proxies, and HEAD."""

import io
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import anyio
from yarl import URL

from nexau.transports._http_library import Exchange, LibraryClient, LibraryResponse
from nexau.transports._http_target import CONNECT_TIMEOUT, KEEPALIVE, Targets, lowered
from nexau.transports.http import HttpError, HttpFailure

_ERRORS = (aiohttp.ClientError, OSError, ValueError)
"""All that aiohttp raises of its own accord; TimeoutError is an OSError, an illegal header is a
ValueError."""

_LARGE = 1 << 20
"""Bytes from which aiohttp wants a file to send piece by piece."""

_NO_CEILING = 1e9
"""aiohttp rounds timeouts above this up to whole seconds; deadlines here are exact."""


@asynccontextmanager
async def open_client(limit: int) -> AsyncIterator["AiohttpClient"]:
    connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEPALIVE)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        trust_env=False,
    )
    try:
        yield AiohttpClient(session)
    finally:
        with anyio.CancelScope(shield=True):
            await session.close()


class AiohttpClient(LibraryClient["_Response"]):
    errors = _ERRORS

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._targets = Targets()
        self._urls: dict[str, URL] = {}

    async def send(self, exchange: Exchange["_Response"], url: str) -> "_Response":
        target = self._targets.of(url)
        address = self._urls.get(target.url)
        if address is None:
            if len(self._urls) >= 1024:
                self._urls.clear()
            address = self._urls[target.url] = URL(target.url)
        headers = exchange.headers
        if target.authorization is not None:
            headers = {"authorization": target.authorization, **headers}
        body = exchange.body
        response = await self._session.request(
            exchange.method,
            address,
            headers=headers,
            data=io.BytesIO(body) if body is not None and len(body) >= _LARGE else body,
            timeout=aiohttp.ClientTimeout(
                total=exchange.timeout,
                sock_connect=CONNECT_TIMEOUT,
                ceil_threshold=_NO_CEILING,
            ),
            proxy=target.proxy,
            allow_redirects=False,
        )
        return _Response(response, url)

    def failure(self, error: Exception, url: str) -> HttpError:
        return _failure(error, url)


class _Response(LibraryResponse):
    __slots__ = ("_headers", "_response")

    def __init__(self, response: aiohttp.ClientResponse, url: str) -> None:
        super().__init__(response.status, url)
        self._response = response
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        if self._headers is None:
            self._headers = lowered(self._response.headers.items())
        return self._headers

    def chunks(self) -> AsyncIterator[bytes]:
        return _Chunks(self._response.content, self.url)

    async def leave(self) -> None:
        self._response.release()


class _Chunks:
    """Not an async generator: those must be closed by whoever stops early."""

    __slots__ = ("_stream", "_url")

    def __init__(self, stream: aiohttp.StreamReader, url: str) -> None:
        self._stream = stream
        self._url = url

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._stream.readany()
        except _ERRORS as error:
            failure = _failure(error, self._url)
        else:
            if chunk:
                return chunk
            raise StopAsyncIteration
        raise failure


_KINDS: tuple[tuple[type[Exception], HttpFailure, str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connect", "timed out while connecting"),
    (TimeoutError, "timeout", "timed out"),
    (aiohttp.ClientHttpProxyError, "connect", "the proxy refused"),
    (aiohttp.ClientProxyConnectionError, "connect", "cannot connect to the proxy"),
    (aiohttp.ClientConnectorDNSError, "connect", "the host name does not resolve"),
    (aiohttp.ClientPayloadError, "closed", "the answer broke off or does not decode"),
    (aiohttp.InvalidURL, "url", "not a URL that can be requested"),
    (aiohttp.ClientResponseError, "protocol", "the answer is not HTTP"),
    (ValueError, "protocol", "the request cannot be sent: an illegal header"),
)
"""First match counts: subclasses stand before their bases."""


def _failure(error: Exception, url: str) -> HttpError:
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return HttpError("tls", _tls_reason(error), url)
    for kind, failure, message in _KINDS:
        if isinstance(error, kind):
            return HttpError(failure, message, url)
    if isinstance(error, aiohttp.ClientConnectorError):
        return HttpError("connect", _connect_reason(error.os_error), url)
    return HttpError("closed", "the connection was closed before the answer was whole", url)


def _connect_reason(error: OSError) -> str:
    # uvloop and the event loop's own attempts put their words where strerror's should be.
    return f"cannot connect: {os.strerror(error.errno)}" if error.errno else "cannot connect"


def _tls_reason(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {cause.verify_message}"
    reason = getattr(cause, "reason", None)
    return f"the TLS handshake failed: {reason}" if reason else "the TLS handshake failed"
