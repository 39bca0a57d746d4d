"""Requests under an `httpx2.Auth`: the official SDK's OAuth providers, over the one HTTP seam."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx2
from mcp.client.auth import OAuthFlowError

from nexau.transports.http import HttpClient, HttpError, HttpResponse

_OWN = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent"})
"""Request headers that the HTTP client below sets by itself."""

_DECODED = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Response headers that no longer hold: the client below has decoded the body."""


class AuthorizedHttp:
    """An `HttpClient` that sends everything under `auth`, through `http`."""

    def __init__(self, http: HttpClient, auth: httpx2.Auth) -> None:
        self._http = http
        self._auth = auth

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[HttpResponse]:
        """Like `HttpClient.request`; `timeout` is for each request that the flow takes."""
        first = httpx2.Request(method, url, headers=dict(headers or {}), content=body)
        async with aclosing(self._auth.async_auth_flow(first)) as flow:
            following: httpx2.Request | None = await anext(flow)
            while following is not None:
                outgoing = following
                async with self._http.request(
                    outgoing.method,
                    str(outgoing.url),
                    headers=_without(outgoing.headers, _OWN),
                    body=outgoing.content or None,
                    timeout=timeout,
                ) as response:
                    following = await _next(flow, _as_httpx2(response, outgoing), url)
                    if following is None:
                        yield response


async def _next(
    flow: AsyncGenerator[httpx2.Request, httpx2.Response], response: httpx2.Response, url: str
) -> httpx2.Request | None:
    """What the flow sends after `response`; None when that is the answer. Raises HttpError."""
    try:
        return await flow.asend(response)
    except StopAsyncIteration:
        return None
    except OAuthFlowError as error:
        raise HttpError("protocol", f"not authorized: {error}", url) from error


def _without(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in names}


def _as_httpx2(response: HttpResponse, request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(
        response.status,
        headers=_without(response.headers, _DECODED),
        stream=_Body(response),
        request=request,
    )


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.chunks():
            yield piece
