"""Formats that are text: a chat template's frame, with a grammar for calls inside.

A record is `{"segments": [{"label", "text"}], "tools": [...]}`: the text in pieces, in order, with
`label` true where the loss counts it. Joined, they are what the model's own template gives;
encoded one by one, they give an exact mask without offsets. axolotl reads this as
`type: input_output` ("template-free prompt construction").

Reading joins the pieces and takes the whole text apart as public readers do, so a value that
holds markup of the format does not come back equal, and is found.
"""

import json
from abc import abstractmethod
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation,
    Results,
    System,
    Turn,
    Unfit,
    User,
)
from nexau.synth.data.formats.base import (
    Format,
    Head,
    ToolReader,
    Tools,
    bare,
    decoded,
    paired,
    position,
    raw_tools,
)
from nexau.transports.protocol import ToolSpec

_encode = msgspec.json.Encoder().encode

_dumps = json.JSONEncoder(ensure_ascii=False).encode
_ALIKE = frozenset({str, int, bool, type(None)})
"""What msgspec writes as the standard library does; floats it does not (1e16 and 1e+16)."""


def dumps(value: Any) -> str:
    """As templates render `tojson`: spaces after `,` and `:`."""
    kind = type(value)
    if kind is str:
        return _encode(value).decode()
    if kind is int:
        return repr(value)
    if kind is dict and _ALIKE.issuperset(map(type, value.values())):
        return msgspec.json.format(_encode(value), indent=0).decode()
    return _dumps(value)


_object = msgspec.json.Decoder(dict[str, Any])


def loads(text: str) -> dict[str, Any]:
    """A JSON object. Raises `Unfit`."""
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfit(f"arguments that are no JSON object: {error}") from None


def tool_json(tool: ToolSpec) -> dict[str, Any]:
    """As OpenAI writes it, which most templates put into the prompt."""
    inner = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": inner}


class Segment(Struct, gc=False):
    label: bool
    text: str


class Record(Struct, omit_defaults=True):
    segments: list[Segment]
    tools: Raw = Raw(b"[]")
    id: str = ""
    lineage: str = ""
    reward: float | None = None


class Part(Struct, frozen=True, gc=False):
    """A turn as it stands in the text."""

    role: str
    """user, assistant or results."""
    body: str
    start: int
    """Where the body begins in the text."""


class Said(Struct, frozen=True, gc=False):
    """An assistant's body, taken apart."""

    content: str
    calls: list[tuple[str, dict[str, Any]]]
    reasoning: str | None = None


class Chat(Format):
    """The frame. A format says how its turns look; everything else is here."""

    summary: ClassVar[str] = "text of the chat template, in labelled segments"
    reasons: ClassVar[bool] = True
    """Whether it holds reasoning."""
    content_with_calls: ClassVar[bool] = True
    calls_at_once: ClassVar[int | None] = None
    tools_before_user: ClassVar[bool] = False
    """Whether tools are declared in front of the user's last message, not at the opening."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Record)
        self._read_tools = ToolReader()
        self.declared = Tools(self.declare)

    # What a format says of itself.

    @abstractmethod
    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        """How tools stand in the prompt; not empty where there are tools."""

    @abstractmethod
    def opening(self, system: str | None, declared: str) -> str:
        """The text before the first turn."""

    @abstractmethod
    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        """The inverse: the system prompt, and where the turns begin. Raises `Unfit`."""

    @abstractmethod
    def user(self, content: str, before: str) -> str:
        """A user's turn; `before` is the role of the turn before, or empty."""

    @abstractmethod
    def header(self, before: str) -> str:
        """What stands before the words of the assistant."""

    @abstractmethod
    def said(self, turn: Assistant, *, last: bool) -> str:
        """The words of the assistant, with the mark that ends its turn."""

    @abstractmethod
    def results(self, turn: Results) -> str: ...

    @abstractmethod
    def split(self, text: str, start: int) -> list[Part]:
        """The turns. The body of an assistant's is what `said` gave. Raises `Unfit`."""

    @abstractmethod
    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        """The inverse of `said`, as public readers have it. Raises `Unfit`."""

    @abstractmethod
    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]: ...

    def identity(self, call: Call, number: int) -> str:
        """Of the n-th call of a conversation."""
        return position(call, number)

    def seen(self, text: str) -> str:
        """What is left of a result's text."""
        return text

    # What follows from it.

    def fit(self, conversation: Conversation) -> Conversation:
        turns = paired(conversation.turns, self.identity, reasoning=self.reasons)
        for index, turn in enumerate(turns):
            if type(turn) is Assistant and turn.calls:
                self._check(turn, index)
        if type(self).seen is not Chat.seen:
            turns = tuple(self._seen(turn) for turn in turns)
        return Conversation(turns, bare(conversation.tools))

    def _check(self, turn: Assistant, index: int) -> None:
        if turn.content and not self.content_with_calls:
            raise Unfit(f"turn {index}: {self.name} holds either text or calls")
        if self.calls_at_once is not None and len(turn.calls) > self.calls_at_once:
            raise Unfit(f"turn {index}: {len(turn.calls)} calls at once; {self.name} holds "
                        f"{self.calls_at_once}")  # fmt: skip

    def _seen(self, turn: Turn) -> Turn:
        if type(turn) is not Results:
            return turn
        return Results(
            tuple(Observation(o.call_id, o.name, self.seen(o.text)) for o in turn.observations)
        )

    def write(self, conversation: Conversation, head: Head) -> bytes:
        segments = self.segments(conversation)
        tools = raw_tools(conversation.tools)
        return _encode(Record(segments, tools, head.id, head.lineage, head.reward))

    def segments(self, conversation: Conversation) -> list[Segment]:
        turns = conversation.turns
        system: str | None = None
        if turns and type(turns[0]) is System:
            system, turns = turns[0].content, turns[1:]
        declared = self.declared(conversation.tools)
        late = -1
        if self.tools_before_user and declared:
            late = max((i for i, turn in enumerate(turns) if type(turn) is User), default=-1)
            if late < 0:
                raise Unfit("no message of a user, in front of which the tools would stand")
        open_ = [self.opening(system, declared)]
        made: list[Segment] = []
        before = ""
        last = len(turns) - 1
        for index, turn in enumerate(turns):
            kind = type(turn)
            if kind is Assistant:
                open_.append(self.header(before))
                words = self.said(turn, last=index == last)  # type: ignore[arg-type]
                if turn.train:  # type: ignore[union-attr]
                    made.append(Segment(False, "".join(open_)))
                    made.append(Segment(True, words))
                    open_ = []
                else:
                    open_.append(words)
                before = "assistant"
            elif kind is Results:
                open_.append(self.results(turn))  # type: ignore[arg-type]
                before = "results"
            else:
                if index == late:
                    open_.append(declared)
                open_.append(self.user(turn.content, before))  # type: ignore[union-attr]
                before = "user"
        if rest := "".join(open_):
            made.append(Segment(False, rest))
        return made

    def read(self, line: bytes) -> Conversation:
        record = decoded(self._decoder, line)
        tools = self._read_tools(record.tools)
        return Conversation(self.read_segments(record.segments, tools), tools)

    def read_segments(
        self, segments: list[Segment], tools: tuple[ToolSpec, ...]
    ) -> tuple[Turn, ...]:
        """Raises `Unfit`."""
        text = "".join([segment.text for segment in segments])
        counted: dict[int, int] = {}
        place = 0
        for segment in segments:
            if segment.label:
                counted[place] = len(segment.text)
            place += len(segment.text)
        return self._turns(text, tools, counted)

    def _turns(
        self, text: str, tools: tuple[ToolSpec, ...], counted: dict[int, int]
    ) -> tuple[Turn, ...]:
        system, start = self.read_opening(text, self.declared(tools))
        turns: list[Turn] = [] if system is None else [System(system)]
        calls: tuple[Call, ...] = ()
        number = 0
        for part in self.split(text, start):
            if part.role == "assistant":
                said = self.read_said(part.body, tools)
                calls = ()
                if said.calls:
                    calls = self._called(said, number)
                    number += len(calls)
                train = counted.pop(part.start, None) == len(part.body)
                turns.append(Assistant(said.content, calls, said.reasoning, train))
            elif part.role == "results":
                turns.append(self._observed(part.body, calls))
            else:
                turns.append(User(part.body))
        if counted:
            raise Unfit("a labelled segment is no assistant's turn")
        return tuple(turns)

    def _called(self, said: Said, number: int) -> tuple[Call, ...]:
        if type(self).identity is Chat.identity:
            return tuple([Call(f"c{number + n}", *made) for n, made in enumerate(said.calls)])
        calls = [Call("", name, arguments) for name, arguments in said.calls]
        return tuple(
            [
                Call(self.identity(call, number + n), call.name, call.arguments)
                for n, call in enumerate(calls)
            ]
        )

    def _observed(self, body: str, calls: tuple[Call, ...]) -> Results:
        texts = self.read_results(body, calls)
        if len(texts) != len(calls):
            raise Unfit(f"{len(texts)} results for {len(calls)} calls")
        return Results(
            tuple([Observation(c.id, c.name, text) for c, text in zip(calls, texts, strict=True)])
        )


def enclosed(text: str, opened: str, closed: str, place: int = 0) -> list[str]:
    """What stands between marks, from `place` on, as `opened(.*?)closed` finds it."""
    found: list[str] = []
    while (start := text.find(opened, place)) >= 0:
        start += len(opened)
        end = text.find(closed, start)
        if end < 0:
            break
        found.append(text[start:end])
        place = end + len(closed)
    return found


def between(text: str, before: str, after: str) -> str:
    """`text` without its edges. Raises `Unfit` where they are not there."""
    if not (text.startswith(before) and text.endswith(after)):
        raise Unfit(f"{text[:40]!r} ... {text[-40:]!r} is not between {before!r} and {after!r}")
    if len(text) < len(before) + len(after):
        raise Unfit(f"{text!r} is cut short")
    return text[len(before) : len(text) - len(after)]
