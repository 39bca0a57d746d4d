"""What the clients over a library share: redirects, errors in our words, bounds on bodies."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Generic, TypeVar

import anyio

from nexau.transports._http_target import MAX_REDIRECTS, redirected
from nexau.transports.http import MAX_BODY, HttpError

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

R = TypeVar("R", bound="LibraryResponse")


class LibraryResponse(ABC):
    """An `HttpResponse`."""

    __slots__ = ("status", "url")

    def __init__(self, status: int, url: str) -> None:
        self.status = status
        self.url = url

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, str]: ...

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]: ...

    @abstractmethod
    async def leave(self) -> None:
        """Gives the connection back, or closes it where the body was not read to its end."""

    async def read(self) -> bytes:
        body = bytearray()
        async for piece in self.chunks():
            body += piece
            if len(body) > MAX_BODY:
                message = f"the answer has more than {MAX_BODY:,} bytes"
                raise HttpError("protocol", message, self.url)
        return bytes(body)


class LibraryClient(ABC, Generic[R]):
    """An `HttpClient`."""

    errors: tuple[type[Exception], ...]
    """All that the library raises of its own accord."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> "Exchange[R]":
        return Exchange(self, method, url, headers, body, timeout)

    @abstractmethod
    async def send(self, exchange: "Exchange[R]", url: str) -> R:
        """`exchange` to `url`, which is another than its own after a redirect."""

    @abstractmethod
    def failure(self, error: Exception, url: str) -> HttpError:
        """For one of `errors`."""


class Exchange(Generic[R]):
    """One request and its answer, which entering gives."""

    __slots__ = ("_client", "_response", "body", "deadline", "headers", "method", "timeout", "url")

    def __init__(
        self,
        client: LibraryClient[R],
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> None:
        self._client = client
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.deadline: float | None = None
        """On the event loop's clock, once entered."""
        self._response: R

    async def __aenter__(self) -> R:
        client, url = self._client, self.url
        if self.timeout is not None:
            self.deadline = anyio.current_time() + self.timeout
        failure: HttpError
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = await client.send(self, url)
            except client.errors as error:
                failure = client.failure(error, url)
                break
            target = redirected(url, response.status, response.headers.get("location"))
            if target is None:
                self._response = response
                return response
            await response.leave()
            url = target
        else:
            failure = HttpError("protocol", f"more than {MAX_REDIRECTS} redirects", url)
        # Raised out here, so that the library's error, which may quote a header, is no context.
        raise failure

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._response.leave()
