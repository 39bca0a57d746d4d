"""Every format gives back what it was written from, or says that it does not."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexau.definitions.values import DefinitionError
from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation,
    Results,
    System,
    Unfit,
    User,
    difference,
)
from nexau.synth.data.formats.base import Format, Head
from nexau.synth.data.formats.chat import Chat
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS, format_of
from tests.synth.data.samples import TOOLS, conversations, plain, plain_values

MADE: dict[str, Format] = {name: kind() for name, kind in FORMATS.items()}
WHOLE = ("openai", "anthropic", "sharegpt")
"""Formats whose grammar can hold any value."""
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def through(form: Format, conversation: Conversation) -> tuple[Conversation, Conversation]:
    held = form.fit(conversation)
    return held, form.read(form.write(held, Head("x", "rollout:1", 0.5)))


@pytest.mark.parametrize("name", WHOLE)
@given(conversation=conversations())
@QUICK
def test_json_formats_hold_every_value(name: str, conversation: Conversation) -> None:
    if name == "sharegpt" and "</think>" in json.dumps(msgspec.to_builtins(conversation.turns)):
        return  # its reasoning is text, and is found not to come back where it holds the mark
    held, back = through(MADE[name], conversation)
    ambiguous = name == "sharegpt" and any(
        isinstance(turn, Assistant) and turn.content.startswith("<think>") for turn in held.turns
    )
    assert difference(held, back) is None or ambiguous


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WHOLE])
@given(data=st.data())
@QUICK
def test_text_formats_hold_plain_values(name: str, data: st.DataObject) -> None:
    form = MADE[name]
    assert isinstance(form, Chat)
    conversation = data.draw(
        conversations(
            plain_values,
            plain,
            parallel=form.calls_at_once or 3,
            content_with_calls=form.content_with_calls,
        )
    )
    held, back = through(form, conversation)
    assert difference(held, back) is None


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WHOLE])
@given(conversation=conversations())
@QUICK
def test_whatever_is_in_it_nothing_but_unfit_is_raised(
    name: str, conversation: Conversation
) -> None:
    try:
        held, back = through(MADE[name], conversation)
    except Unfit:
        return
    difference(held, back)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hermes", {"s": "a </tool_call> b"}),
        ("qwen3-coder", {"s": "null"}),
        ("qwen3-coder", {"s": "a</parameter>b"}),
        ("qwen3-coder", {"unknown": 3}),
        ("glm-4.5", {"s": "null"}),
        ("glm-4.5", {"u": "1"}),
        ("glm-4.5", {"s": "a</arg_value>b"}),
        ("minimax-m2", {"s": "null"}),
        ("minimax-m2", {"s": "\nx\n"}),
        ("minimax-m2", {"n": 1.0}),
        ("deepseek-v3.1", {"s": "x<｜tool▁call▁end｜>y"}),
        ("kimi-k2", {"s": "x<|im_end|>y"}),
        ("pythonic", {"not an identifier": 1}),
    ],
)
def test_what_a_grammar_loses_is_found(name: str, arguments: dict[str, object]) -> None:
    call = Call("c0", "f", arguments)
    turns = (User("go"), Assistant("", (call,)), Results((Observation("c0", "f", "ok"),)))
    try:
        held, back = through(MADE[name], Conversation(turns, TOOLS))
    except Unfit:
        return
    assert difference(held, back) is not None


def test_types_are_kept_apart() -> None:
    turns = lambda value: (User("x"), Assistant("", (Call("c", "f", {"a": value}),)))  # noqa: E731
    assert difference(Conversation(turns(1)), Conversation(turns(True))) is not None
    assert difference(Conversation(turns(1)), Conversation(turns(1.0))) is not None
    assert difference(Conversation(turns("1")), Conversation(turns(1))) is not None
    assert difference(Conversation(turns(1)), Conversation(turns(1))) is None


@pytest.mark.parametrize("name", FORMATS)
def test_the_loss_counts_the_turns_of_the_assistant_that_it_is_told_to(name: str) -> None:
    call = Call("c0", "f", {"s": "x"})
    turns = (
        System("sys"),
        User("ask"),
        Assistant("", (call,), None, train=False),
        Results((Observation("c0", "f", "seen"),)),
        Assistant("answer"),
    )
    form = MADE[name]
    held = form.fit(Conversation(turns, TOOLS))
    record = json.loads(form.write(held, Head("x")))
    back = form.read(json.dumps(record).encode())
    assert [t.train for t in back.turns if isinstance(t, Assistant)] == [False, True]
    if isinstance(form, Chat):
        counted = [each["text"] for each in record["segments"] if each["label"]]
        assert len(counted) == 1
        assert "answer" in counted[0]
        assert "seen" not in counted[0]


def test_openai_keeps_arguments_that_are_no_json() -> None:
    call = Call("c0", "f", None, '{"a": ')
    turns = (User("x"), Assistant("", (call,)), Results((Observation("c0", "f", "no"),)))
    held, back = through(MADE["openai"], Conversation(turns, TOOLS))
    assert difference(held, back) is None
    with pytest.raises(Unfit, match="not a JSON object"):
        MADE["hermes"].fit(Conversation(turns, TOOLS))


def test_kimi_ids_count_through_the_conversation() -> None:
    calls = [Call(f"x{n}", "f", {"s": "x"}) for n in range(3)]
    turns = (
        User("x"),
        Assistant("", (calls[0], calls[1])),
        Results(tuple(Observation(c.id, "f", "ok") for c in calls[:2])),
        Assistant("", (calls[2],)),
        Results((Observation("x2", "f", "ok"),)),
    )
    held, back = through(MADE["kimi-k2"], Conversation(turns, TOOLS))
    assert difference(held, back) is None
    ids = [call.id for turn in back.turns if isinstance(turn, Assistant) for call in turn.calls]
    assert ids == ["functions.f:0", "functions.f:1", "functions.f:2"]


def test_results_without_calls_fit_nowhere() -> None:
    turns = (User("x"), Results((Observation("c", "f", "ok"),)))
    for form in MADE.values():
        with pytest.raises(Unfit):
            form.fit(Conversation(turns, TOOLS))


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'hermes'"):
        format_of("hermez")
    for name in (*FORMATS, *ROLLOUT_FORMATS):
        assert format_of(name).name == name
