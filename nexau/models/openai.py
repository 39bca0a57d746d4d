"""Chat completions at any endpoint that speaks OpenAI's API."""

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import anyio
import msgspec
from msgspec import Struct

from nexau.definitions.values import OpenAIModel
from nexau.models.base import ModelError, ModelRequest, OnDelta, Turn
from nexau.models.endpoints import Endpoint, EndpointStatistics, Pace, choose
from nexau.models.openai_exchange import Exchange, Failed
from nexau.models.openai_prefix import Prefixes, PrefixStatistics
from nexau.models.openai_prompt import EncodedTools, encode_messages, encode_tools
from nexau.models.openai_wire import Context
from nexau.transports.http import HttpClient
from nexau.transports.log import get_logger
from nexau.transports.protocol import ToolSpec
from nexau.transports.retry import backoff

log = get_logger(__name__)

MAX_WAIT = 600.0
"""Seconds of `Retry-After` beyond which the model is given up."""
_TOOL_SETS = 256


class OpenAIStatistics(Struct, frozen=True):
    prefixes: PrefixStatistics
    endpoints: tuple[EndpointStatistics, ...]


class OpenAIChat:
    """A `Model`. Serves any number of conversations at once over one `HttpClient`.

    `endpoints` are where the model is served; without, there is one at the configuration's
    `base_url`, asked with `key` and `headers`. `images` False names the images in tool results
    instead of sending them, for text-only models. `chance` draws the jitter of retries,
    `wall_clock` reads `Retry-After` dates: both arguments for the sake of simulation.
    """

    def __init__(
        self,
        config: OpenAIModel,
        http: HttpClient,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        endpoints: Sequence[Endpoint] = (),
        images: bool = True,
        chance: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._endpoints = tuple(endpoints) or (
            Endpoint(
                config.base_url, key=key, headers=headers, pace=Pace(in_flight=config.in_flight)
            ),
        )
        self._exchange = Exchange(http, stream=config.stream, wall_clock=wall_clock)
        self._chance = chance or random.Random()
        self._prefixes = Prefixes(lambda messages: encode_messages(messages, images=images))
        self._tools: dict[int, tuple[tuple[ToolSpec, ...], EncodedTools, Context]] = {}
        self._head = _head(config)

    async def turn(self, request: ModelRequest) -> Turn:
        tools, context = self._tools_of(request.tools)
        endpoint = self._choose(request)
        endpoint.pace.health.admit(anyio.current_time())
        body = self._body(request, tools, endpoint)
        waited = 0.0
        failed: Failed | None = None
        for attempt in count():
            if failed is None or self._may_retry(endpoint, failed):
                tokens = endpoint.pace.estimate(len(body))
                waited += await self._admission(endpoint, tokens, request.deadline)
                waited += await self._enter(endpoint, tokens, request.deadline)
                try:
                    outcome = await self._attempt(endpoint, body, tokens, request, attempt, context)
                except BaseException:
                    endpoint.pace.leave(anyio.current_time(), counts=False)
                    raise
                endpoint.pace.leave(anyio.current_time(), failed=_overloaded(outcome))
                if isinstance(outcome, Turn):
                    if not outcome.calls:
                        self._prefixes.forget(request.messages)
                    return msgspec.structs.replace(outcome, queue=waited) if waited else outcome
                failed = outcome
                self._heed(endpoint, failed)
            else:
                # Sat out, so that an endpoint that is down gets no more load than it had.
                failed = msgspec.structs.replace(failed, wait=None)
            waited += await self._before_next(endpoint, failed, attempt, request)
            following = self._choose(request, endpoint)
            if following is not endpoint:
                log.info("a conversation moves on to another endpoint", reason=failed.message)
                endpoint, body = following, self._body(request, tools, following)
        raise AssertionError("unreachable: counting does not end")

    async def aclose(self) -> None:
        """The HTTP client is not this object's to close."""
        self._prefixes.clear()
        self._tools.clear()

    def statistics(self) -> OpenAIStatistics:
        endpoints = tuple(endpoint.statistics() for endpoint in self._endpoints)
        return OpenAIStatistics(self._prefixes.statistics(), endpoints)

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

    def _choose(self, request: ModelRequest, failed: Endpoint | None = None) -> Endpoint:
        if len(self._endpoints) == 1:
            return self._endpoints[0]
        key = f"{request.task}\n{request.seed}\n{request.path}"
        now = anyio.current_time()
        return choose(self._endpoints, key, now, deadline=request.deadline, failed=failed)

    def _body(self, request: ModelRequest, tools: EncodedTools, endpoint: Endpoint) -> bytes:
        try:
            prompt = self._prefixes.encoded(request.messages)
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"the prompt cannot be encoded as JSON: {error}") from None
        parts: list[bytes | bytearray] = [self._head]
        bounds = [n for n in (self._config.max_tokens, request.max_tokens) if n is not None]
        if bounds:
            parts.append(b',"%s":%d' % (endpoint.max_tokens, max(1, min(bounds))))
        if tools.body:
            parts.append(b"," + tools.body)
            if self._config.parallel_tool_calls is not None:
                parts.append(b',"parallel_tool_calls":')
                parts.append(b"true" if self._config.parallel_tool_calls else b"false")
        parts += (b',"messages":[', prompt, b"]}")
        return b"".join(parts)

    async def _admission(self, endpoint: Endpoint, tokens: float, deadline: float | None) -> float:
        """Waits until the endpoint may be asked; returns the seconds waited."""
        pace, started = endpoint.pace, anyio.current_time()
        if not pace.wait(started, tokens):
            pace.reserve(started, tokens)
            return 0.0
        pace.waiting += 1
        try:
            await self._sit_out_hold(pace, deadline)
            reserved = pace.reserve(anyio.current_time(), tokens)
            try:
                await _sleep(reserved, deadline)
                await self._sit_out_hold(pace, deadline)
            except BaseException:
                pace.put_back(tokens)
                raise
        finally:
            pace.waiting -= 1
        return anyio.current_time() - started

    async def _enter(self, endpoint: Endpoint, tokens: float, deadline: float | None) -> float:
        """Waits for a place among the requests that the endpoint is given at once; returns the
        seconds waited.
        """
        gate, started = endpoint.pace.gate, anyio.current_time()
        if gate is None:
            return 0.0
        try:
            with anyio.CancelScope(deadline=math.inf if deadline is None else deadline):
                await gate.enter()
                return anyio.current_time() - started
        except BaseException:
            endpoint.pace.put_back(tokens)
            raise
        endpoint.pace.put_back(tokens)
        raise ModelError("the deadline has passed before the model could be asked")

    async def _sit_out_hold(self, pace: Pace, deadline: float | None) -> None:
        while (left := pace.held_until - anyio.current_time()) > 0:
            # Spread a little, because all who wait were told the same time.
            await _sleep(left + self._chance.random() * min(1.0, left / 10), deadline)

    async def _attempt(
        self,
        endpoint: Endpoint,
        body: bytes,
        tokens: float,
        request: ModelRequest,
        attempt: int,
        context: Context,
    ) -> Turn | Failed:
        pace, now, timeout = endpoint.pace, anyio.current_time(), self._config.timeout
        deadline, on_delta = request.deadline, request.on_delta
        if deadline is not None:
            if now >= deadline:
                pace.put_back(tokens)
                raise ModelError("the deadline has passed before the model answered")
            timeout = min(timeout, deadline - now)
        pace.sent()
        try:
            hear = None if on_delta is None else partial(_told, on_delta, attempt)
            outcome = await self._exchange.attempt(endpoint, body, timeout, context, hear)
        finally:
            pace.in_flight -= 1
        if isinstance(outcome, Turn):
            pace.answered(tokens, outcome.usage)
        else:
            ended = anyio.current_time()
            # An attempt that had no more time than the rollout had left blames nobody.
            blamed = timeout == self._config.timeout or ended - now < timeout
            pace.failed(
                tokens, ended,
                sent=now, status=outcome.status, outright=outcome.outright, blamed=blamed,
            )  # fmt: skip
        return outcome

    def _heed(self, endpoint: Endpoint, failed: Failed) -> None:
        """Holds back all requests to an endpoint that asks for time."""
        now, asked = anyio.current_time(), failed.wait
        if asked is not None and asked <= MAX_WAIT:
            endpoint.pace.hold(now + asked)
        elif asked is not None:
            # As good as down. Not held that long: dates and units are easily mistaken.
            endpoint.pace.health.failed(now, sent=now, outright=True)

    def _may_retry(self, endpoint: Endpoint, failed: Failed) -> bool:
        return endpoint.pace.may_retry(anyio.current_time(), asked=failed.wait is not None)

    async def _before_next(
        self, endpoint: Endpoint, failed: Failed, attempt: int, request: ModelRequest
    ) -> float:
        """Waits; returns the seconds waited. Raises `ModelError` where there is no next attempt."""
        message = failed.message
        if attempt:
            message += f" (attempt {attempt + 1})"
        if not failed.again or attempt >= self._config.retries:
            raise ModelError(message, status=failed.status)
        now, chance, asked = anyio.current_time(), self._chance.random(), failed.wait
        if asked is not None and self._choose(request, endpoint) is endpoint:
            # Spread a little, because all who were refused were told the same time.
            wait = asked + chance * min(1.0, asked / 10)
        else:
            wait = backoff(attempt, chance)
            if failed.status == 429 and asked is None:
                endpoint.pace.hold(now + wait)
        if wait > MAX_WAIT:
            raise ModelError(f"{message}; it asks to wait {wait:.0f} s", status=failed.status)
        if request.deadline is not None and now + wait >= request.deadline:
            raise ModelError(
                f"{message}; the next attempt in {wait:.1f} s would be past the deadline",
                status=failed.status,
            )
        log.info("model request failed, will be sent again", reason=failed.message, seconds=wait)
        await anyio.sleep(wait)
        return wait


async def _told(on_delta: OnDelta, attempt: int, text: str, reasoning: str) -> None:
    await on_delta(text, reasoning, attempt)


async def _sleep(seconds: float, deadline: float | None) -> None:
    if deadline is not None and anyio.current_time() + seconds >= deadline:
        raise ModelError(
            f"the endpoint may be asked in {seconds:.1f} s, which would be past the deadline"
        )
    await anyio.sleep(seconds)


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


def _overloaded(outcome: Turn | Failed) -> bool:
    """Whether it failed as a peer does that has more to do than it can."""
    if isinstance(outcome, Turn):
        return False
    return outcome.status is None or outcome.status == 429 or outcome.status >= 500
