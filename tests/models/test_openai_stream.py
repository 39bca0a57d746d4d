"""Server-sent events to the answer that they add up to."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexau.models.openai_stream import EventData, StreamedAnswer
from nexau.models.openai_wire import NotAChatCompletion, WireAnswer


def event(delta: dict[str, Any], **choice: Any) -> bytes:
    chunk = {"model": "m", "choices": [{"index": 0, "delta": delta, **choice}]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def call(index: int | None, **function: Any) -> dict[str, Any]:
    call_id = function.pop("id", None)
    delta: dict[str, Any] = {"function": function}
    if index is not None:
        delta["index"] = index
    if call_id is not None:
        delta["id"] = call_id
    return {"tool_calls": [delta]}


DONE = b"data: [DONE]\n\n"
STREAM = b"".join(
    [
        b": a comment\n\n",
        event({"role": "assistant", "content": ""}),
        event({"reasoning_content": "Hm, "}),
        event({"reasoning_content": "ß."}),
        event({"content": "héllo "}),
        event({"content": "wörld"}),
        event(call(0, id="c0", name="look", arguments="")),
        event(call(0, arguments='{"q": ')),
        event(call(1, id="c1", name="store", arguments='{"v"')),
        event(call(0, arguments='"ü"}')),
        event(call(1, arguments=": 1}")),
        event({}, finish_reason="tool_calls"),
        b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n',
        DONE,
    ]
)


def added(data: bytes, cuts: list[int] | None = None) -> WireAnswer:
    events, answer = EventData(), StreamedAnswer()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(edges):
        for each in events.feed(data[start:end]):
            answer.add(each)
    for each in events.flush():
        answer.add(each)
    return answer.whole()


def calls_of(answer: WireAnswer) -> list[tuple[Any, ...]]:
    assert answer.choices
    message = answer.choices[0].message
    assert message is not None
    made: list[tuple[Any, ...]] = []
    for each in message.tool_calls or []:
        assert each.function is not None
        made.append((each.id, each.function.name, each.function.arguments))
    return made


@given(
    st.lists(st.integers(0, 2000), max_size=30),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
@settings(max_examples=100)
def test_wherever_the_stream_is_cut(cuts: list[int], newline: bytes) -> None:
    answer = added(STREAM.replace(b"\n", newline), cuts)
    assert answer.choices
    choice = answer.choices[0]
    assert choice.message is not None
    assert choice.message.content == "héllo wörld"
    assert choice.message.reasoning_content == "Hm, ß."
    assert choice.finish_reason == "tool_calls"
    assert calls_of(answer) == [("c0", "look", '{"q": "ü"}'), ("c1", "store", '{"v": 1}')]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


@pytest.mark.parametrize(
    "deltas",
    [
        # no index: each id begins a call
        [call(None, id="a", name="f", arguments="{"), call(None, arguments="}"),
         call(None, id="b", name="g", arguments="{}")],
        # always index 0
        [call(0, id="a", name="f", arguments="{}"), call(0, id="b", name="g", arguments="{}")],
        # the name and the id in every delta
        [call(0, id="a", name="f", arguments="{"), call(0, id="a", name="f", arguments="}"),
         call(1, id="b", name="g", arguments="{}")],
        # whole arguments as an object's text come late
        [call(0, id="a", name="f"), call(1, id="b", name="g", arguments="{}"),
         call(0, arguments="{}")],
    ],
)  # fmt: skip
def test_ways_to_tell_calls_apart(deltas: list[dict[str, Any]]) -> None:
    stream = b"".join(map(event, deltas)) + DONE
    assert calls_of(added(stream)) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_arguments_as_an_object() -> None:
    stream = event(call(0, id="a", name="f", arguments={"k": 1})) + DONE
    assert calls_of(added(stream)) == [("a", "f", {"k": 1})]


def test_token_ids_add_up() -> None:
    stream = (
        b'data: {"prompt_token_ids": [1, 2], "choices": [{"delta": {}, "token_ids": [3]}]}\n\n'
        + event({"content": "x"}, token_ids=[4], logprobs={"content": [{"logprob": -0.5}]})
        + DONE
    )
    answer = added(stream)
    assert answer.prompt_token_ids == [1, 2]
    assert answer.choices
    assert answer.choices[0].token_ids == [3, 4]


def test_meta_info_has_all_so_far() -> None:
    """As SGLang streams it."""
    first = {"output_token_logprobs": [[-1.0, 3, None]]}
    both = {"output_token_logprobs": [[-1.0, 3, None], [-2.0, 4, None]]}
    stream = event({"content": "a"}, meta_info=first, prompt_token_ids=[1, 2])
    answer = added(stream + event({"content": "b"}, meta_info=both) + event({}) + DONE)
    assert answer.choices
    meta = answer.choices[0].meta_info
    assert meta is not None
    assert meta.output_token_logprobs == [(-1.0, 3, None), (-2.0, 4, None)]
    assert answer.choices[0].prompt_token_ids == [1, 2]


def test_data_over_several_lines_is_one_event() -> None:
    events = EventData()
    assert list(events.feed(b"data: {\ndata:}\n\nevent: x\n\n")) == [b"{\n}"]


def test_an_end_without_a_last_newline() -> None:
    answer = added(event({"content": "x"}, finish_reason="stop").rstrip(b"\n"))
    assert answer.choices
    assert answer.choices[0].message is not None
    assert answer.choices[0].message.content == "x"


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (b"", "broke off"),
        (event({"content": "x"}), "broke off"),
        (b"data: nonsense\n\n", "not a chat completion"),
        (b'data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
    ],
)
def test_streams_that_fail(stream: bytes, says: str) -> None:
    with pytest.raises(NotAChatCompletion, match=says):
        added(stream)
