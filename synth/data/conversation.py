"""One agent's conversation: what every training format is written from, and read back to.

Typed values, never rendered text. A result is text here, as the model was shown it
(`nexau.models.openai_prompt.tool_text`), because that is what these formats hold.
"""

from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import ToolCall
from nexau.transports.protocol import ToolSpec

Call = ToolCall


class System(Struct, frozen=True, tag_field="role", tag="system", gc=False):
    content: str


class User(Struct, frozen=True, tag_field="role", tag="user", gc=False):
    content: str


class Assistant(
    Struct, frozen=True, tag_field="role", tag="assistant", omit_defaults=True, gc=False
):
    content: str
    calls: tuple[Call, ...] = ()
    reasoning: str | None = None
    train: bool = True
    """Whether the loss counts this turn."""


class Observation(Struct, frozen=True, omit_defaults=True, gc=False):
    """The result of one call."""

    call_id: str
    name: str
    """Of the tool."""
    text: str
    is_error: bool = False


class Results(Struct, frozen=True, tag_field="role", tag="results", gc=False):
    """What came back for the calls of the turn before, in their order."""

    observations: tuple[Observation, ...]


Turn = System | User | Assistant | Results


class Conversation(Struct, frozen=True, gc=False):
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()


class Unfit(ValueError):
    """A conversation that a format cannot hold, or a record that is not of the format."""


_encode = msgspec.json.Encoder().encode
_KEPT = 256


def equal(one: Conversation, other: Conversation) -> bool:
    """1, 1.0 and true are three values, and so is the order of keys."""
    if one.turns != other.turns or _arguments(one) != _arguments(other):
        return False
    return one.tools is other.tools or _equal_tools(one.tools, other.tools)


_tools_known: dict[tuple[int, int], tuple[tuple[ToolSpec, ...], tuple[ToolSpec, ...], bool]] = {}
"""By the ids of both, which the entry holds: the same tools come with every conversation."""


def _equal_tools(one: tuple[ToolSpec, ...], other: tuple[ToolSpec, ...]) -> bool:
    known = _tools_known.get((id(one), id(other)))
    if known is None:
        if len(_tools_known) >= _KEPT:
            _tools_known.clear()
        known = _tools_known[id(one), id(other)] = one, other, _encode(one) == _encode(other)
    return known[2]


def _arguments(conversation: Conversation) -> bytes:
    """Where a value may be, in whose place an equal one of another type is not as good."""
    return _encode(
        [c.arguments for t in conversation.turns if type(t) is Assistant for c in t.calls]
    )


def difference(one: Conversation, other: Conversation) -> str | None:
    """Where two conversations first differ, in words; None where they are equal."""
    if equal(one, other):
        return None
    if _encode(one.turns) == _encode(other.turns):
        return "the tools differ"
    for index, (left, right) in enumerate(zip(one.turns, other.turns, strict=False)):
        if _encode(left) != _encode(right):
            return f"turn {index}: {_where(left, right)}"
    return f"{len(one.turns)} turns became {len(other.turns)}"


def _where(left: Turn, right: Turn) -> str:
    if type(left) is not type(right):
        return f"{type(left).__name__.lower()} became {type(right).__name__.lower()}"
    for name in left.__struct_fields__:
        before, after = getattr(left, name), getattr(right, name)
        if _encode(before) == _encode(after):
            continue
        if isinstance(before, tuple) and len(before) == len(after):
            pairs = [(a, b) for a, b in zip(before, after, strict=True) if _encode(a) != _encode(b)]
            before, after = pairs[0]
        return f"{name}: {_shown(before)} became {_shown(after)}"
    return "differs"


def _shown(value: Any) -> str:
    text = _encode(value).decode()
    return text if len(text) <= 160 else f"{text[:157]}..."
