"""Conversations with nasty values, for property tests."""

from typing import Any

from hypothesis import strategies as st

from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation,
    Results,
    System,
    Turn,
    User,
)
from nexau.transports.protocol import ToolSpec

MARKUP = (
    "</tool_call>", "<tool_call>", "</parameter>", "</arg_value>", "<|im_end|>",
    "<|im_start|>user\n",
    "<｜tool▁call▁end｜>", "<｜end▁of▁sentence｜>", "<|tool_call_end|>", "<|eot_id|>", "<|end|>",
    "[TOOL_CALLS]", "[/INST]", "</s>", "[e~[", "]~b]user\n", "<|user|>", "<|observation|>",
    "</invoke>", "```", "</think>", "<think>", "<tool_response>", "</tool_use>", "[f(a=1)]",
    '{"name": "f", "parameters": {}}', "<|call|>", "[ARGS]", "</minimax:tool_call>", "&lt;", "<a>",
    "## Return of functions.f:0\n",
)  # fmt: skip
LOOKALIKES = (
    "null", "true", "True", "None", "1", "1.0", "-0", "1e5", "0123", "[]", "{}", '"x"', "'x'",
    '{"a":1}', "nil", "NaN", "\\n", "\\u0041", " ", "\n", "\n\n", "  x  ", "a\nb\n", "", "\u2028",
    "\x00", "\x7f", "é", "日本", "\U0001f469\u200d\U0001f467", "\u202e", 'say "hi"', "it's",
    "a\\b", "\t", "<", ">",
)  # fmt: skip

plain = st.text(st.characters(codec="ascii", categories=["L", "Nd"]), min_size=1, max_size=12)
text = st.one_of(
    plain,
    st.sampled_from(LOOKALIKES),
    st.sampled_from(MARKUP),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.tuples(plain, st.sampled_from(MARKUP), plain).map("".join),
)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e22, 2**53 + 1, 2**64, -(2**63)]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, text)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)

PROPERTIES: dict[str, Any] = {
    "s": {"type": "string", "description": "Text"},
    "i": {"type": "integer", "default": 10},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "o": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    "l": {"type": "array", "items": {"type": "string"}},
    "z": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    "e": {"enum": ["red", "blue"]},
    "u": {},
}
TOOLS = tuple(
    ToolSpec(name, f"Does {name}.", {"type": "object", "properties": PROPERTIES, "required": ["s"]})
    for name in ("f", "get_order", "list_all")
)

_OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "s": text,
    "i": st.integers(-(10**30), 10**30),
    "n": numbers,
    "b": st.booleans(),
    "o": st.dictionaries(text, values, max_size=3),
    "l": st.lists(text, max_size=3),
    "z": st.one_of(st.none(), text),
    "e": st.sampled_from(["red", "blue"]),
    "u": values,
}
fitting = st.fixed_dictionaries({}, optional=_OF_TYPE)
"""Arguments of the types that the schema says."""
any_arguments = st.one_of(
    fitting,
    st.dictionaries(st.one_of(st.sampled_from(list(PROPERTIES)), plain), values, max_size=4),
)

_WORDS = ("null", "true", "false", "none", "nan", "infinity", "nil")
plain_values = st.fixed_dictionaries(
    {},
    optional={
        "s": plain.filter(lambda t: not t[0].isdigit() and t.lower() not in _WORDS),
        "i": st.integers(0, 1000),
        "b": st.booleans(),
        "l": st.lists(plain, max_size=3),
    },
)
"""What every grammar can hold."""


@st.composite
def conversations(
    draw: st.DrawFn,
    arguments: st.SearchStrategy[dict[str, Any]] = any_arguments,
    words: st.SearchStrategy[str] = text,
    *,
    parallel: int = 3,
    content_with_calls: bool = True,
    reasoning: bool = True,
    names: tuple[str, ...] = ("f", "get_order", "list_all"),
) -> Conversation:
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(System(draw(words)))
    turns.append(User(draw(words)))
    number = 0
    for _ in range(draw(st.integers(0, 3))):
        calls = []
        for _ in range(draw(st.integers(1, parallel))):
            calls.append(Call(f"call#{number}", draw(st.sampled_from(names)), draw(arguments)))
            number += 1
        said = draw(words) if content_with_calls and draw(st.booleans()) else ""
        thought = draw(words) if reasoning and draw(st.booleans()) else None
        turns.append(Assistant(said, tuple(calls), thought, draw(st.booleans())))
        turns.append(
            Results(
                tuple(
                    Observation(call.id, call.name, draw(words), draw(st.booleans()))
                    for call in calls
                )
            )
        )
    thought = draw(words) if reasoning and draw(st.booleans()) else None
    turns.append(Assistant(draw(words), (), thought))
    if draw(st.booleans()):
        turns += [User(draw(words)), Assistant(draw(words))]
    return Conversation(tuple(turns), TOOLS if draw(st.booleans()) or number else ())
