"""The one HTTP seam: requests over keep-alive connections of our own, or over a library.

    async with open_http() as http:
        async with http.request("POST", url, headers=headers, body=body, timeout=30) as response:
            text = await response.read()

All implementations keep connections alive and share them among all callers of one client. They
hold no cookies, send no credentials of their own accord, and raise nothing but `HttpError`.
A redirect is followed only where it keeps the method and the origin (307, 308).

Proxies are taken from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` when the client is
opened, and never used for a loopback address. Nothing else is read from the environment: no
`.netrc`. Certificates are checked against the system's store, which `SSL_CERT_FILE` replaces.
"""

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, cast
from urllib.parse import urlsplit

import sniffio

HttpFailure = Literal["connect", "tls", "timeout", "closed", "protocol", "url"]
"""connect: nothing was sent. tls: the handshake failed; nothing was sent. timeout: the time of the
request passed. closed: the connection broke off, before the answer or within it. protocol: not
HTTP, or a body that does not decode. url: not one that can be requested."""


MAX_BODY = 1 << 26
"""Bytes of a body that are held at once, uncompressed. One that is read whole and has more, or
that is compressed so well that a piece has more, ends in `protocol`."""


class HttpError(Exception):
    """A request that got no whole answer.

    The text names the URL without query and userinfo, and never a header.
    """

    def __init__(self, kind: HttpFailure, message: str, url: str) -> None:
        super().__init__(f"{message} ({public_url(url)})")
        self.kind = kind


class HttpResponse(Protocol):
    """An answer whose status and headers have arrived. Valid inside its `async with` only."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; values of a repeated one are joined by `, `."""
        ...

    async def read(self) -> bytes:
        """The whole body. Raises `HttpError`."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces of any size above zero. Raises `HttpError`.

        May be left unread: the connection is then closed instead of reused.
        """
        ...


class HttpClient(Protocol):
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> AbstractAsyncContextManager[HttpResponse]:
        """Sends one request. `timeout` is seconds from entering to the last byte read of the
        answer; None waits for ever, save that connecting takes at most 30 seconds.

        Entering raises `HttpError`. A status of 400 and above is an answer, not an error.
        """
        ...


def open_http(*, limit: int = 0) -> AbstractAsyncContextManager[HttpClient]:
    """A client for the running event loop; leaving closes every connection.

    At most `limit` connections are open at once, requests beyond it wait their turn; 0 sets no
    bound, so that a pool is as large as the number of requests in flight.
    """
    library = "asyncio" if sniffio.current_async_library() == "asyncio" else "sockets"
    # Libraries take a tenth of a second or more to import: only the one in use is loaded.
    implementation = importlib.import_module(f"nexau.transports._http_{library}")
    return cast("AbstractAsyncContextManager[HttpClient]", implementation.open_client(limit))


def public_url(url: str) -> str:
    """`url` without userinfo, query and fragment: fit for logs and errors."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "not a URL"
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}{port}{parts.path}"
