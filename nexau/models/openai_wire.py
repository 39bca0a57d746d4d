"""Chat completions on the wire: what an endpoint answers, and the turn it stands for.

The shapes are OpenAI's "Create chat completion", read as leniently as the endpoints that imitate it
need: nulls where fields may be missing, `reasoning_content` (DeepSeek, SGLang, vLLM) or `reasoning`
(OpenRouter, newer vLLM), token ids as vLLM and SGLang return them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import Price
from nexau.models.base import FinishReason, TokenData, ToolCall, Turn
from nexau.transports.protocol import Usage


class WireFunction(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class WireCall(Struct):
    id: str | None = None
    function: WireFunction | None = None
    index: int | None = None
    """In streams only."""


class WirePart(Struct, gc=False):
    type: str = ""
    text: str | None = None


class WireMessage(Struct):
    """A message, or in streams a delta of one."""

    content: str | list[WirePart] | None = None
    tool_calls: list[WireCall] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None


class WireLogprob(Struct, gc=False):
    token: str = ""
    logprob: float = 0.0


class WireLogprobs(Struct):
    content: list[WireLogprob] | None = None


class WireMeta(Struct):
    """SGLang, with `return_meta_info`. In streams each chunk has all of the list so far."""

    output_token_logprobs: list[tuple[float, int, Any]] | None = None


class WireChoice(Struct):
    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    """SGLang; vLLM has it one level up."""
    meta_info: WireMeta | None = None


class WireDetails(Struct, gc=False):
    cached_tokens: int | None = None


class WireUsage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: WireDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek."""


class WireAnswer(Struct):
    """A whole answer, or in streams one chunk of it."""

    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    model: str | None = None
    prompt_token_ids: list[int] | None = None
    error: Any = None


class NotAChatCompletion(Exception):
    """A successful status with something else behind it."""


_decoder = msgspec.json.Decoder(WireAnswer)
_any_decoder = msgspec.json.Decoder()

_FINISH: Mapping[str | None, FinishReason] = {
    None: "stop",
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
}

MAX_CALLS = 1_000
"""Of one turn."""

_ID_TOKEN = "token_id:"
"""How vLLM writes tokens with `return_tokens_as_token_ids`."""


def decode_answer(data: bytes | str) -> WireAnswer:
    """Raises `NotAChatCompletion`."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAChatCompletion(f"the answer is not a chat completion: {error}") from None


class Context(Struct, frozen=True):
    """What a turn is made with, beside the answer."""

    name: str
    """The model as configured, where the endpoint names none."""
    price: Price | None
    names: Mapping[str, str]
    """Names on the wire to names of tools, where they differ."""
    fresh_id: Callable[[], str]


def turn_of(answer: WireAnswer, context: Context) -> Turn:
    """Raises `NotAChatCompletion` for an answer without a choice."""
    if answer.error:
        raise NotAChatCompletion(f"the endpoint answered with an error: {error_text(answer.error)}")
    if not answer.choices or answer.choices[0].message is None:
        raise NotAChatCompletion("the answer holds no choice with a message")
    choice = answer.choices[0]
    message = choice.message
    assert message is not None
    calls = _calls(message.tool_calls, context) if message.tool_calls else ()
    finish = _FINISH.get(choice.finish_reason, "other")
    usage, tokens = _usage(answer.usage, context.price), _tokens(answer, choice)
    if tokens is not None and 0 < len(tokens.response_ids) < usage.output_tokens:
        # vLLM, for one, loses those of streamed tool calls (its issue 27482).
        tokens = replace(tokens, incomplete=True)
    return Turn(
        _text(message),
        calls,
        reasoning_of(message) or None,
        "tool_calls" if calls and finish == "stop" else finish,
        usage,
        answer.model or context.name,
        tokens,
    )


def reasoning_of(message: WireMessage) -> str:
    for text in (message.reasoning_content, message.reasoning):
        if isinstance(text, str) and text:
            return text
    return ""


def error_text(error: Any) -> str:
    """The message inside an endpoint's error, in the shapes that are about."""
    while isinstance(error, dict):
        for key in ("message", "error", "detail", "msg"):
            if error.get(key):
                error = error[key]
                break
        else:
            break
    if isinstance(error, str):
        return error
    return msgspec.json.encode(error).decode()


def _text(message: WireMessage) -> str:
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text for part in content if part.text)
    return content or message.refusal or ""


def _calls(wire: Sequence[WireCall], context: Context) -> tuple[ToolCall, ...]:
    if len(wire) > MAX_CALLS:
        raise NotAChatCompletion(f"the answer has {len(wire):,} calls, more than {MAX_CALLS:,}")
    calls: list[ToolCall] = []
    seen: set[str] = set()
    for call in wire:
        call_id = call.id or ""
        if not call_id or call_id in seen:
            call_id = context.fresh_id()
        seen.add(call_id)
        function = call.function or WireFunction()
        name = function.name or ""
        arguments, malformed = parse_arguments(function.arguments)
        calls.append(ToolCall(call_id, context.names.get(name, name), arguments, malformed))
    return tuple(calls)


def parse_arguments(
    raw: str | dict[str, Any] | None,
) -> tuple[dict[str, Any] | None, str | None]:
    """The arguments, or None and the text as the model wrote it. No text at all is no argument."""
    if isinstance(raw, dict):
        return raw, None
    if raw is None or not raw.strip():
        return {}, None
    try:
        arguments = _any_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, raw
    return (arguments, None) if isinstance(arguments, dict) else (None, raw)


def _usage(wire: WireUsage | None, price: Price | None) -> Usage:
    if wire is None:
        return Usage()
    read = wire.prompt_tokens or 0
    written = wire.completion_tokens or 0
    details = wire.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else None) or 0
    cached = min(read, cached or wire.prompt_cache_hit_tokens or 0)
    if price is None:
        return Usage(read, written, cached)
    cached_price = price.input if price.cached is None else price.cached
    dollars = (read - cached) * price.input + cached * cached_price + written * price.output
    return Usage(read, written, cached, dollars / 1_000_000)


def _tokens(answer: WireAnswer, choice: WireChoice) -> TokenData | None:
    prompt = answer.prompt_token_ids or choice.prompt_token_ids or ()
    meta = choice.meta_info
    if meta is not None and meta.output_token_logprobs:
        pairs = meta.output_token_logprobs
        return TokenData(
            tuple(prompt), tuple(pair[1] for pair in pairs), tuple(pair[0] for pair in pairs)
        )
    listed = (choice.logprobs.content if choice.logprobs is not None else None) or ()
    ids = choice.token_ids or _written_ids(listed)
    if not (prompt or ids or listed):
        return None
    # Pairs of different lengths cannot be told apart: an id with another token's logprob would be
    # worse than none.
    paired = listed if not ids or len(ids) == len(listed) else ()
    return TokenData(tuple(prompt), tuple(ids), tuple(item.logprob for item in paired))


def _written_ids(listed: Sequence[WireLogprob]) -> list[int]:
    """Of tokens that are written as ids; empty unless all of them are."""
    ids: list[int] = []
    for item in listed:
        number = item.token.removeprefix(_ID_TOKEN)
        if number == item.token or not (number.isascii() and number.isdecimal()):
            return []
        ids.append(int(number))
    return ids
