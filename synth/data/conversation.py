"""One agent's conversation: what every training format is written from, and read back to.

Typed values, never rendered text. A result is text here, as the model was shown it
(`nexau.models.openai_prompt.tool_text`), because that is what these formats hold.
"""

from typing import Any

import msgspec
from msgspec import Struct

from nexau.transports.protocol import ToolSpec


class Call(Struct, frozen=True, omit_defaults=True, gc=False):
    id: str
    name: str
    arguments: dict[str, Any] | None
    malformed: str | None = None
    """What the model wrote where that is no JSON object; `arguments` is None then."""


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


def canonical(turns: tuple[Turn, ...]) -> bytes:
    """Bytes that differ where the turns do: 1, 1.0 and true are three values, and so is the order
    of keys."""
    return _encode(turns)


def difference(one: Conversation, other: Conversation) -> str | None:
    """Where two conversations first differ, in words; None where they are equal."""
    if canonical(one.turns) == canonical(other.turns):
        if one.tools is other.tools or _encode(one.tools) == _encode(other.tools):
            return None
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
