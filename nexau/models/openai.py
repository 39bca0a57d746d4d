"""Chat completions at any endpoint that speaks OpenAI's API."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import msgspec
from msgspec import Struct

from nexau.definition import OpenAIModel
from nexau.models.base import ModelError, ModelRequest, Turn
from nexau.models.openai_prefix import Prefixes, PrefixStatistics
from nexau.models.openai_prompt import EncodedTools, encode_messages, encode_tools
from nexau.models.openai_stream import EventData, StreamedAnswer
from nexau.models.openai_wire import (
    Context,
    NotAChatCompletion,
    WireAnswer,
    decode_answer,
    error_text,
    turn_of,
)
from nexau.transports.http import HttpClient, HttpError, HttpResponse, public_url
from nexau.transports.log import get_logger
from nexau.transports.protocol import ToolSpec
from nexau.transports.retry import RETRIED, asked_wait, backoff

log = get_logger(__name__)

MAX_WAIT = 600.0
"""Seconds of `Retry-After` beyond which the model is given up."""
_ERROR_BYTES = 65_536
_ERROR_TEXT = 500
_TOOL_SETS = 256


class _Failed(Struct, frozen=True):
    """An attempt without a turn."""

    message: str
    status: int | None = None
    again: bool = True
    wait: float | None = None
    """Seconds that the endpoint asks for."""


class _Headers(dict[str, str]):
    """Holds the key, so it does not show what it holds: tracebacks may print local variables."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class OpenAIChat:
    """A `Model`. Serves any number of conversations at once over one `HttpClient`.

    `images` False names the images in tool results instead of sending them, for text-only models.
    `chance` draws the jitter of retries, `wall_clock` reads `Retry-After` dates: both arguments for
    the sake of simulation.
    """

    def __init__(
        self,
        config: OpenAIModel,
        http: HttpClient,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        images: bool = True,
        chance: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._http = http
        self._url = completions_url(config.base_url)
        self._headers = _Headers(
            {"content-type": "application/json", "accept-encoding": "identity"}
        )
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._headers.update({name.lower(): value for name, value in (headers or {}).items()})
        self._secrets = _secrets(key, headers or {})
        self._chance = chance or random.Random()
        self._wall_clock = wall_clock
        self._prefixes = Prefixes(lambda messages: encode_messages(messages, images=images))
        self._tools: dict[int, tuple[tuple[ToolSpec, ...], EncodedTools, Context]] = {}
        self._head, self._max_tokens = _head(config), _max_tokens_name(config)

    async def turn(self, request: ModelRequest) -> Turn:
        tools, context = self._tools_of(request.tools)
        body = self._body(request, tools)
        waited = 0.0
        for attempt in count():
            timeout = self._time_for(request.deadline)
            outcome = await self._attempt(body, timeout, context)
            if isinstance(outcome, Turn):
                if not outcome.calls:
                    self._prefixes.forget(request.messages)
                return outcome if not waited else msgspec.structs.replace(outcome, queue=waited)
            waited += await self._before_next(outcome, attempt, request.deadline)
        raise AssertionError("unreachable: counting does not end")

    async def aclose(self) -> None:
        """The HTTP client is not this object's to close."""
        self._prefixes.clear()
        self._tools.clear()

    def statistics(self) -> PrefixStatistics:
        return self._prefixes.statistics()

    def _tools_of(self, tools: tuple[ToolSpec, ...]) -> tuple[EncodedTools, Context]:
        known = self._tools.get(id(tools))
        if known is None:
            if len(self._tools) >= _TOOL_SETS:
                del self._tools[next(iter(self._tools))]
            encoded = encode_tools(tools)
            config = self._config
            context = Context(config.name, config.price, encoded.names, self._fresh_id)
            # Holding the tuple keeps its id from being given to another one.
            known = self._tools[id(tools)] = (tools, encoded, context)
        return known[1], known[2]

    def _fresh_id(self) -> str:
        return f"call_{self._chance.getrandbits(96):024x}"

    def _body(self, request: ModelRequest, tools: EncodedTools) -> bytes:
        try:
            prompt = self._prefixes.encoded(request.messages)
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"the prompt cannot be encoded as JSON: {error}") from None
        parts: list[bytes | bytearray] = [self._head]
        bounds = [n for n in (self._config.max_tokens, request.max_tokens) if n is not None]
        if bounds:
            parts.append(b',"%s":%d' % (self._max_tokens, max(1, min(bounds))))
        if tools.body:
            parts.append(b"," + tools.body)
            if self._config.parallel_tool_calls is not None:
                parts.append(b',"parallel_tool_calls":')
                parts.append(b"true" if self._config.parallel_tool_calls else b"false")
        parts += (b',"messages":[', prompt, b"]}")
        return b"".join(parts)

    def _time_for(self, deadline: float | None) -> float:
        """Seconds that the next attempt may take."""
        if deadline is None:
            return self._config.timeout
        left = deadline - anyio.current_time()
        if left <= 0:
            raise ModelError("the deadline has passed before the model answered")
        return min(left, self._config.timeout)

    async def _before_next(self, failed: _Failed, attempt: int, deadline: float | None) -> float:
        """Waits; returns the seconds waited. Raises `ModelError` where there is no next attempt."""
        message = failed.message
        if attempt:
            message += f" (attempt {attempt + 1})"
        if not failed.again or attempt >= self._config.retries:
            raise ModelError(message, status=failed.status)
        chance = self._chance.random()
        if failed.wait is None:
            wait = backoff(attempt, chance)
        else:
            # Spread a little, because all who were refused were told the same time.
            wait = failed.wait + chance * min(1.0, failed.wait / 10)
        if wait > MAX_WAIT:
            raise ModelError(f"{message}; it asks to wait {wait:.0f} s", status=failed.status)
        if deadline is not None and anyio.current_time() + wait >= deadline:
            raise ModelError(
                f"{message}; the next attempt in {wait:.1f} s would be past the deadline",
                status=failed.status,
            )
        log.info("model request failed, will be sent again", reason=failed.message, seconds=wait)
        await anyio.sleep(wait)
        return wait

    async def _attempt(self, body: bytes, timeout: float, context: Context) -> Turn | _Failed:
        try:
            async with self._http.request(
                "POST", self._url, headers=self._headers, body=body, timeout=timeout
            ) as response:
                if response.status != 200:
                    return await self._refused(response)
                return turn_of(await self._answer(response), context)
        except HttpError as error:
            return _Failed(str(error), again=error.kind not in ("url", "tls"))
        except NotAChatCompletion as error:
            return _Failed(f"{self._clean(str(error))} ({public_url(self._url)})", 200)

    async def _answer(self, response: HttpResponse) -> WireAnswer:
        if not self._config.stream or "json" in response.headers.get("content-type", ""):
            return decode_answer(await response.read())
        events, answer = EventData(), StreamedAnswer()
        try:
            # Past the last event too: a body read to its end leaves the connection usable.
            async for chunk in response.chunks():
                for data in events.feed(chunk):
                    answer.add(data)
        except HttpError:
            if not answer.done:
                raise
        for data in events.flush():
            answer.add(data)
        return answer.whole()

    async def _refused(self, response: HttpResponse) -> _Failed:
        status = response.status
        wait = asked_wait(response.headers, self._wall_clock()) if status in RETRIED else None
        text = bytearray()
        async for chunk in response.chunks():
            text += chunk
            if len(text) >= _ERROR_BYTES:
                break
        said = self._clean(_said(bytes(text[:_ERROR_BYTES])))
        message = f"the endpoint answered {status}{': ' if said else ''}{said}"
        return _Failed(f"{message} ({public_url(self._url)})", status, status in RETRIED, wait)

    def _clean(self, text: str) -> str:
        """One short printable line without a secret."""
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= _ERROR_TEXT else f"{text[:_ERROR_TEXT]}..."


def completions_url(base_url: str) -> str:
    """`base_url` with `/chat/completions` after its path; a query stays where it is."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _secrets(key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What no message may show, in the forms an endpoint may echo it in; longest first."""
    plain = {key or "", *headers.values()}
    # `Bearer abc` hides `abc` alone too.
    plain |= {word for value in headers.values() for word in value.split()}
    forms = {form for text in plain for form in (text, _escaped(text))}
    return tuple(sorted((form for form in forms if len(form) >= 4), key=len, reverse=True))


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _said(body: bytes) -> str:
    try:
        return error_text(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def _max_tokens_name(config: OpenAIModel) -> bytes:
    # OpenAI's reasoning models refuse the older name, which most other endpoints know alone.
    host = urlsplit(config.base_url).hostname or ""
    newer = host == "api.openai.com" or host.endswith(".openai.azure.com")
    return b"max_completion_tokens" if newer else b"max_tokens"


def _head(config: OpenAIModel) -> bytes:
    """The object up to what changes from turn to turn, without its end."""
    body: dict[str, Any] = {"model": config.name}
    options: Iterable[tuple[str, Any]] = (
        ("temperature", config.temperature),
        ("top_p", config.top_p),
        ("seed", config.seed),
        ("stop", list(config.stop) or None),
    )
    body |= {name: value for name, value in options if value is not None}
    if config.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= config.extra_body
    return msgspec.json.encode(body)[:-1]
