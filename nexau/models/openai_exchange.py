"""One attempt at a chat completion: a request over HTTP, and what became of it."""

import time
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from nexau.models.base import Turn
from nexau.models.endpoints import Endpoint
from nexau.models.openai_stream import EventData, StreamedAnswer
from nexau.models.openai_wire import (
    Context,
    NotAChatCompletion,
    WireAnswer,
    decode_answer,
    error_text,
    turn_of,
)
from nexau.transports.http import MAX_BODY, HttpClient, HttpError, HttpResponse, public_url
from nexau.transports.retry import RETRIED, asked_wait

_ERROR_BYTES = 65_536
_ERROR_TEXT = 500
_MAX_STREAM = MAX_BODY
"""Bytes of a streamed answer."""

Hear = Callable[[str, str], Awaitable[None]]


class Failed(Struct, frozen=True):
    """An attempt without a turn."""

    message: str
    status: int | None = None
    again: bool = True
    wait: float | None = None
    """Seconds that the endpoint asks for."""
    outright: bool = False
    """No connection was made."""


class Exchange:
    """Sends bodies to endpoints. `wall_clock` is seconds since the Unix epoch."""

    def __init__(
        self, http: HttpClient, *, stream: bool, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._stream = stream
        self._wall_clock = wall_clock

    async def attempt(
        self,
        endpoint: Endpoint,
        body: bytes,
        timeout: float,
        context: Context,
        hear: Hear | None = None,
    ) -> Turn | Failed:
        """`hear` is told text and reasoning of a streamed answer as they come."""
        try:
            async with self._http.request(
                "POST", endpoint.url, headers=endpoint.headers, body=body, timeout=timeout
            ) as response:
                if response.status != 200:
                    return await self._refused(endpoint, response)
                return turn_of(await self._answer(response, hear), context)
        except HttpError as error:
            again = error.kind not in ("url", "tls")
            return Failed(str(error), again=again, outright=error.kind in ("connect", "tls"))
        except NotAChatCompletion as error:
            said = clean(str(error), endpoint.secrets)
            return Failed(f"{said} ({public_url(endpoint.url)})", 200)

    async def _answer(self, response: HttpResponse, hear: Hear | None) -> WireAnswer:
        if not self._stream or "json" in response.headers.get("content-type", ""):
            return decode_answer(await response.read())
        events, answer = EventData(), StreamedAnswer()
        size = 0
        try:
            # Past the last event too: a body read to its end leaves the connection usable.
            async for chunk in response.chunks():
                size += len(chunk)
                if size > _MAX_STREAM:
                    raise NotAChatCompletion(f"the stream has more than {_MAX_STREAM:,} bytes")
                for data in events.feed(chunk):
                    answer.add(data)
                if hear is not None and (news := answer.news()) is not None:
                    await hear(*news)
        except HttpError:
            if not answer.done:
                raise
        for data in events.flush():
            answer.add(data)
        return answer.whole()

    async def _refused(self, endpoint: Endpoint, response: HttpResponse) -> Failed:
        status = response.status
        wait = asked_wait(response.headers, self._wall_clock()) if status in RETRIED else None
        text = bytearray()
        async for chunk in response.chunks():
            text += chunk
            if len(text) >= _ERROR_BYTES:
                break
        said = clean(_said(bytes(text[:_ERROR_BYTES])), endpoint.secrets)
        message = f"the endpoint answered {status}{': ' if said else ''}{said}"
        return Failed(f"{message} ({public_url(endpoint.url)})", status, status in RETRIED, wait)


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """One short printable line without a secret."""
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _ERROR_TEXT else f"{text[:_ERROR_TEXT]}..."


def _said(body: bytes) -> str:
    try:
        return error_text(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
