"""What a format is: `fit` says what of a conversation it holds, `write` and `read` are inverse.

A record is written from what `fit` gives, read back, and compared with it; so what a format leaves
out is a decision that stands in `fit`, and whatever else is lost is found.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import Message, SystemMessage
from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation,
    Results,
    System,
    Turn,
    Unfit,
)
from nexau.synth.data.convert import Options
from nexau.synth.data.spoken import AnyStep
from nexau.transports.protocol import ToolSpec

_KEPT = 256
T = TypeVar("T")


class Head(Struct, frozen=True, gc=False):
    """What every record says beside the conversation."""

    id: str
    """`rollout` and, below the root, `@path` of the agent."""
    lineage: str = ""
    """Id of the rollout (`nexau lineage`)."""
    reward: float | None = None


class Format(ABC):
    """One training format."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """What a record is, in a few words."""
    leaves_out: ClassVar[str]
    """What of a conversation it does not hold."""

    @abstractmethod
    def fit(self, conversation: Conversation) -> Conversation:
        """What the format holds of it. Raises `Unfit`."""

    @abstractmethod
    def write(self, conversation: Conversation, head: Head) -> bytes:
        """One line, without its newline, of a conversation that `fit` gave."""

    @abstractmethod
    def read(self, line: bytes) -> Conversation:
        """As the readers of this format do. Raises `Unfit`."""

    def quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        """The record of an agent's steps, parsed back and compared, in one pass; None where the way
        by a conversation has to be gone, because there is none or something is out of the common.
        It is that of `write`, to the byte.
        """
        return None


class Tools:
    """Something made of a tuple of tools, once for each tuple object."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._known: dict[int, tuple[tuple[ToolSpec, ...], Any]] = {}

    def __call__(self, tools: tuple[ToolSpec, ...]) -> Any:
        found = self._known.get(id(tools))
        # The entry holds the tuple, so its id cannot come to mean another one.
        if found is not None and found[0] is tools:
            return found[1]
        if len(self._known) >= _KEPT:
            self._known.clear()
        made = self._make(tools)
        self._known[id(tools)] = (tools, made)
        return made


def _bare(tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in tools)


bare = Tools(_bare)
"""Tools without MCP's annotations, which no format has a place for."""


class _Function(Struct):
    name: str
    description: str
    parameters: dict[str, Any]


class _OpenAITool(Struct, tag_field="type", tag="function"):
    function: _Function


def _raw_tools(tools: tuple[ToolSpec, ...]) -> Raw:
    made = [_OpenAITool(_Function(t.name, t.description, t.parameters)) for t in tools]
    return Raw(msgspec.json.encode(made))


raw_tools = Tools(_raw_tools)
"""Tools as OpenAI writes them, encoded."""


class ToolReader:
    """The inverse of `raw_tools`; equal texts give one object."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[ToolSpec, ...]] = {}
        self._decoder = msgspec.json.Decoder(list[_OpenAITool])

    def __call__(self, raw: Raw) -> tuple[ToolSpec, ...]:
        text = bytes(raw)
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            listed = [each.function for each in self._decoder.decode(text)] if text else []
            found = tuple(ToolSpec(f.name, f.description, f.parameters) for f in listed)
            self._known[text] = found
        return found


def paired(
    turns: tuple[Turn, ...], rename: Any = None, *, reasoning: bool = True, errors: bool = False
) -> tuple[Turn, ...]:
    """Turns with their ids made anew, where `rename(call, n)` gives the n-th call's, and what a
    format does not hold taken out. Raises `Unfit` for what no format holds: results without calls,
    a system message in the middle, calls that are not JSON.
    """
    made: list[Turn] = []
    number = 0
    calls: tuple[Call, ...] = ()
    for index, turn in enumerate(turns):
        kind = type(turn)
        if kind is Assistant:
            assert isinstance(turn, Assistant)
            calls = turn.calls
            if rename is None:
                if turn.reasoning is None or (reasoning and turn.reasoning):
                    made.append(turn)  # nothing to take out
                    continue
            elif calls:
                calls = tuple([_renamed(c, rename(c, number + n)) for n, c in enumerate(calls)])
                number += len(calls)
            thought = turn.reasoning if reasoning and turn.reasoning else None
            made.append(Assistant(turn.content, calls, thought, turn.train))
        elif kind is Results:
            assert isinstance(turn, Results)
            made.append(_results(turn, calls, index, errors=errors))
        elif kind is System and index:
            raise Unfit(f"turn {index}: a system message after the first")
        else:
            made.append(turn)
    return tuple(made)


def _renamed(call: Call, identity: str) -> Call:
    if call.arguments is None:
        raise Unfit(f"a call of {call.name} whose arguments are not a JSON object")
    return Call(identity, call.name, call.arguments)


def _results(turn: Results, calls: tuple[Call, ...], index: int, *, errors: bool) -> Results:
    seen = turn.observations
    if len(seen) != len(calls):
        raise Unfit(f"turn {index}: {len(seen)} results for {len(calls)} calls")
    if len(calls) == 1:
        (call,), (one,) = calls, seen
        failed = errors and one.is_error
        if one.call_id == call.id and one.name == call.name and failed == one.is_error:
            return turn
        return Results((Observation(call.id, call.name, one.text, failed),))
    return Results(
        tuple(
            [
                Observation(call.id, call.name, each.text, errors and each.is_error)
                for call, each in zip(calls, seen, strict=True)
            ]
        )
    )


def parted(prompt: tuple[Message, ...]) -> tuple[str | None, tuple[Message, ...]]:
    """The system prompt that stands first, and the rest."""
    if prompt and type(prompt[0]) is SystemMessage:
        return prompt[0].content, prompt[1:]
    return None, prompt


def position(_: Call, number: int) -> str:
    """An id for formats that have none."""
    return f"c{number}"


def decoded(decoder: "msgspec.json.Decoder[T]", line: bytes) -> T:
    """Raises `Unfit`."""
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfit(str(error)) from None
