"""What endpoints answer, and the turn it stands for."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexau.definitions.values import Price
from nexau.models.base import TokenData, Turn
from nexau.models.openai_wire import (
    Context,
    NotAChatCompletion,
    decode_answer,
    error_text,
    parse_arguments,
    turn_of,
)
from nexau.transports.protocol import Usage


def turn(answer: Any, price: Price | None = None) -> Turn:
    fresh = count()
    context = Context("m", price, {"wire": "tool.name"}, lambda: f"fresh{next(fresh)}")
    return turn_of(decode_answer(json.dumps(answer).encode()), context)


def completion(finish: str | None = "stop", /, **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    function = {"name": fields.pop("name", "f"), "arguments": fields.pop("arguments", "{}")}
    return {"type": "function", "function": function, **fields}


@pytest.mark.parametrize(
    ("message", "content", "reasoning"),
    [
        ({"content": "hi"}, "hi", None),
        ({"content": None}, "", None),
        ({}, "", None),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", None),
        ({"content": None, "refusal": "I will not."}, "I will not.", None),
        ({"content": "hi", "reasoning_content": "why"}, "hi", "why"),
        ({"content": "hi", "reasoning": "why", "reasoning_content": None}, "hi", "why"),
        ({"content": "hi", "reasoning": {"odd": 1}}, "hi", None),
        ({"content": "hi", "tool_calls": None, "unknown": 1}, "hi", None),
    ],
)
def test_content_and_reasoning(
    message: dict[str, Any], content: str, reasoning: str | None
) -> None:
    made = turn(completion(**message))
    assert (made.content, made.reasoning, made.calls) == (content, reasoning, ())


@pytest.mark.parametrize(
    ("finish", "calls", "reason"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        (None, False, "stop"),
        (None, True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("function_call", True, "tool_calls"),
        ("length", True, "length"),
        ("length", False, "length"),
        ("content_filter", False, "content_filter"),
        ("abort", False, "other"),
    ],
)
def test_finish_reasons(finish: str | None, calls: bool, reason: str) -> None:
    assert turn(completion(finish, tool_calls=[call(id="a")] * calls)).finish_reason == reason


def test_calls_get_ids_of_their_own() -> None:
    made = turn(completion(tool_calls=[call(id="a"), call(id="a"), call(id=None), call(id="")]))
    assert [each.id for each in made.calls] == ["a", "fresh0", "fresh1", "fresh2"]


def test_names_come_back() -> None:
    made = turn(completion(tool_calls=[call(id="a", name="wire"), call(id="b", name="made-up")]))
    assert [each.name for each in made.calls] == ["tool.name", "made-up"]


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("", {}),
        (" \n", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 1', None),
        ("[1]", None),
        ('"{}"', None),
        ("null", None),
        ("NaN", None),
        ('{"a": NaN}', None),
        ("{'a': 1}", None),
        ('{"a": "\\ud800"}', None),
        ("[" * 100_000, None),
    ],
)
def test_arguments(raw: Any, arguments: Any) -> None:
    assert parse_arguments(raw) == (arguments, None if arguments is not None else raw)


@given(st.text(max_size=30))
@settings(max_examples=100)
def test_no_text_of_arguments_is_lost(raw: str) -> None:
    arguments, malformed = parse_arguments(raw)
    assert (malformed == raw) == (arguments is None)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": None, "completion_tokens": 2}, Usage(0, 2, 0, 10 / 1e6)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2,
             "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(10, 2, 4, (6 * 3 + 4 * 1 + 2 * 5) / 1e6),
        ),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 99}, Usage(10, 0, 10, 10 / 1e6)),
        ({"prompt_tokens": 1, "prompt_tokens_details": None}, Usage(1, 0, 0, 3 / 1e6)),
    ],
)  # fmt: skip
def test_usage(usage: Any, expected: Usage) -> None:
    answer = completion(content="x") | {"usage": usage}
    assert turn(answer, Price(3.0, 5.0, 1.0)).usage == expected


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (  # vLLM
            {"prompt_token_ids": [1, 2], "choices": [
                {"message": {}, "token_ids": [3, 4],
                 "logprobs": {"content": [{"token": "a", "logprob": -1.0},
                                          {"token": "b", "logprob": -2.0}]}}]},
            TokenData((1, 2), (3, 4), (-1.0, -2.0)),
        ),
        (  # vLLM, ids in place of tokens
            {"choices": [{"message": {}, "logprobs": {
                "content": [{"token": "token_id:7", "logprob": -1.0}]}}]},
            TokenData((), (7,), (-1.0,)),
        ),
        (  # SGLang
            {"choices": [{"message": {}, "prompt_token_ids": [1], "token_ids": [3]}]},
            TokenData((1,), (3,), ()),
        ),
        (  # SGLang, return_meta_info
            {"choices": [{"message": {}, "meta_info": {
                "output_token_logprobs": [[-1.0, 3, "a"], [-2.0, 4, None]]}}]},
            TokenData((), (3, 4), (-1.0, -2.0)),
        ),
        (  # OpenAI: no ids
            {"choices": [{"message": {}, "logprobs": {
                "content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.0}]}}]},
            TokenData((), (), (-1.0, -2.0)),
        ),
        (  # ids of some tokens belong to nobody knows which
            {"choices": [{"message": {}, "logprobs": {
                "content": [{"token": "token_id:7", "logprob": -1.0},
                            {"token": "token_id:x", "logprob": -2.0}]}}]},
            TokenData((), (), (-1.0, -2.0)),
        ),
        (  # an id more than there are logprobs
            {"choices": [{"message": {}, "token_ids": [3, 4],
                          "logprobs": {"content": [{"token": "a", "logprob": -1.0}]}}]},
            TokenData((), (3, 4), ()),
        ),
        (  # vLLM, streamed calls: ids of some tokens are lost
            {"usage": {"completion_tokens": 3}, "choices": [{"message": {}, "token_ids": [3, 4]}]},
            TokenData((), (3, 4), (), incomplete=True),
        ),
        (
            {"usage": {"completion_tokens": 2}, "choices": [{"message": {}, "token_ids": [3, 4]}]},
            TokenData((), (3, 4), ()),
        ),
        ({"choices": [{"message": {}, "logprobs": None}]}, None),
    ],
)  # fmt: skip
def test_token_data(answer: Any, tokens: TokenData | None) -> None:
    assert turn(answer).tokens == tokens


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "no choice"),
        ({"choices": None}, "no choice"),
        ({"choices": [{"finish_reason": "stop"}]}, "no choice"),
        ({"choices": 5}, "not a chat completion"),
        ([], "not a chat completion"),
        ({"error": {"message": "overloaded"}}, "overloaded"),
    ],
)
def test_answers_that_are_none(answer: Any, says: str) -> None:
    with pytest.raises(NotAChatCompletion, match=says):
        turn(answer)


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"choices": [', b'"\xff"', b"[" * 100_000])
def test_bodies_that_are_not_json(data: bytes) -> None:
    with pytest.raises(NotAChatCompletion):
        decode_answer(data)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("plain", "plain"),
        ({"error": {"message": "m", "code": 1}}, "m"),
        ({"error": "e"}, "e"),
        ({"detail": [{"msg": "d"}]}, '[{"msg":"d"}]'),
        ({"detail": "d"}, "d"),
        ({"message": "m"}, "m"),
        ({"other": 1}, '{"other":1}'),
    ],
)
def test_error_texts(error: Any, text: str) -> None:
    assert error_text(error) == text
