"""Text formats in one pass: what the way by a conversation does, for a rollout without surprises.

A turn that is one call and nothing else is put together from the frame that the format's own writer
gives for its tool. The record is decoded and compared field by field; the arguments of those calls
are decoded from its text, all at once; every other turn of the assistant goes through the format's
own reader. What readers part a text at (`marks`) must stand in none of its values: then they part
it where the writer did. In any other case the long way decides.
"""

import re
from collections.abc import Iterator
from itertools import accumulate, compress
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import Message, ToolCall, UserMessage
from nexau.synth.data.conversation import Assistant, Call, Observation, Results, Unfit
from nexau.synth.data.convert import Options
from nexau.synth.data.formats.base import Head, bare, parted, raw_tools
from nexau.synth.data.formats.chat import Chat, Record, Segment, dumps
from nexau.synth.data.spoken import AnyResult, AnyStep
from nexau.transports.protocol import Text, ToolSpec

_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(list[dict[str, Any]]).decode
_raws = msgspec.json.Decoder(list[Raw]).decode
_SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch
_ALIKE = frozenset({str, int, bool, type(None)})
_ID, _SEEN = "@id@", "@seen@"
_KEPT = 4096


class Frame(Struct, frozen=True, gc=False):
    """What stands around the arguments, and the result, of a call of one tool."""

    opened: str
    closed: str
    shown: str
    end: str
    numbered: bool
    """Whether the id stands in it."""

    def of(self, identity: str) -> "Frame":
        """With that id."""
        opened, shown = self.opened.replace(_ID, identity), self.shown.replace(_ID, identity)
        closed, end = self.closed.replace(_ID, identity), self.end.replace(_ID, identity)
        return Frame(opened, closed, shown, end, False)


class _Open(Struct):
    """A record in the making."""

    tools: tuple[ToolSpec, ...]
    segments: list[Segment]
    pending: list[str]
    """Texts since the last segment."""
    values: list[str]
    """All that the record holds, to look for marks in."""
    before: str = ""
    number: int = 0
    """Of the next call."""


class Brisk(Chat):
    marks: ClassVar[tuple[str, ...]] = ()
    """One of these is in everything that a reader of the format looks for between values. None: the
    format has no quick way."""
    json_results: ClassVar[bool] = False
    """Whether results are JSON texts."""

    def __init__(self) -> None:
        super().__init__()
        self._frames: dict[str, Frame] = {}

    def quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        if not self.marks:
            return None
        try:
            return self._quick(steps, bare(tools), head, options)
        except Unfit:
            return None

    def _quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        system, prompt = parted(steps[0].prompt)
        declared = self.declared(tools)
        late = self.tools_before_user and declared
        if system == "" or (late and (len(prompt) != 1 or _later(steps))):
            return None
        opening = self.opening(system, declared)
        made = _Open(tools, [], [opening, declared if late else ""], [system or ""])
        reasons = self.reasons
        silent = [
            len(step.calls) == 1 and not step.response and not (reasons and step.reasoning)
            for step in steps
        ]
        pairs = self._pairs(made, steps, silent)
        if pairs is None or not self._turns_of(made, steps, silent, iter(pairs), options):
            return None
        # Nothing may stand in a value that a reader would take for more than a value.
        blob = "\n".join(made.values)
        for mark in self.marks:
            if mark in blob:
                return None
        segments = made.segments
        if self.read_opening(segments[0].text, declared) != (system, len(opening)):
            return None
        record = Record(segments, raw_tools(tools), head.id, head.lineage, head.reward)
        line = _encode(record)
        return line if self._decoder.decode(line) == record else None

    def _turns_of(
        self,
        made: _Open,
        steps: list[AnyStep],
        silent: list[bool],
        pairs: Iterator[tuple[str, str]],
        options: Options,
    ) -> bool:
        segments, pending = made.segments, made.pending
        after_results = self.header("results")
        every, masked, last = options.loss == "all", options.mask_errors, len(steps) - 1
        for index, step in enumerate(steps):
            if step.prompt and not self._give(made, step.prompt, first=not index):
                return False
            said = next(pairs) if silent[index] else self._spoken(made, step, last=index == last)
            if said is None:
                return False
            words, observed = said
            pending.append(after_results if made.before == "results" else self.header(made.before))
            if (every or index == last) and not (
                masked and any(result.is_error for result in step.results)
            ):
                segments.append(Segment(False, "".join(pending)))
                segments.append(Segment(True, words))
                pending.clear()
            else:
                pending.append(words)
            pending.append(observed)
            made.before = "results" if step.calls else "assistant"
            made.number += len(step.calls)
        if rest := "".join(pending):
            segments.append(Segment(False, rest))
        return True

    def _pairs(
        self, made: _Open, every: list[AnyStep], silent: list[bool]
    ) -> list[tuple[str, str]] | None:
        """The words of the silent turns, and their results."""
        steps = list(compress(every, silent))
        calls = [step.calls[0] for step in steps]
        written = self.written(calls, made.tools)
        seen = _texts(steps)
        if written is None or seen is None:
            return None
        texts, values = written
        frames = [self._frames.get(call.name) or self._frame(call.name) for call in calls]
        made.values += values
        made.values += seen
        if self.json_results:
            seen = [_encode(text)[1:-1].decode() for text in seen]
        if frames and frames[0].numbered:
            counts = accumulate((len(step.calls) for step in every), initial=0)
            frames = [
                frame.of(self.identity(call, number))
                for frame, call, number in zip(frames, calls, compress(counts, silent), strict=True)
            ]
        return [
            (f"{f.opened}{text}{f.closed}", f"{f.shown}{one}{f.end}")
            for f, text, one in zip(frames, texts, seen, strict=True)
        ]

    def written(
        self, calls: list[ToolCall], tools: tuple[ToolSpec, ...]
    ) -> tuple[list[str], list[str]] | None:
        """The arguments of calls as they stand in a frame, and all values in them; None where one
        would not be read as it was.
        """
        arguments = [call.arguments for call in calls]
        if None in arguments:
            return None
        if not arguments:
            return [], []
        encoded = _encode(arguments)
        if _ALIKE.issuperset({type(value) for each in arguments for value in each.values()}):  # type: ignore[union-attr]
            written = msgspec.json.format(encoded, indent=0)
            texts = b"\n".join(_raws(written)).decode().split("\n")
        else:
            texts = list(map(dumps, arguments))
            written = f"[{','.join(texts)}]".encode()
        try:
            same = _encode(_read(written)) == encoded
        except (msgspec.DecodeError, RecursionError):
            return None
        return (texts, texts) if same else None

    def apart(self, said: str) -> tuple[str, str]:
        """A call without arguments, before and after the place of those."""
        opened, _, closed = said.rpartition("{}")
        return opened, closed

    def _frame(self, name: str) -> Frame:
        """Raises `Unfit` for a name that might be taken for something else."""
        if not _SAFE(name):
            raise Unfit(f"the name {name!r}")
        if len(self._frames) >= _KEPT:
            self._frames.clear()
        made = self._frames[name] = self._framed(name)
        return made

    def _framed(self, name: str) -> Frame:
        said = self.said(Assistant("", (Call(_ID, name, {}),)), last=False)
        opened, closed = self.apart(said)
        results = self.results(Results((Observation(_ID, name, _SEEN),)))
        shown, _, end = results.partition(_SEEN)
        return Frame(opened, closed, shown, end, _ID in said or _ID in results)

    def _give(self, made: _Open, prompt: tuple[Message, ...], *, first: bool) -> bool:
        for message in parted(prompt)[1] if first else prompt:
            if type(message) is not UserMessage or not message.content:
                return False
            made.pending.append(self.user(message.content, made.before))
            made.values.append(message.content)
            made.before = "user"
        return True

    def _spoken(self, made: _Open, step: AnyStep, *, last: bool) -> tuple[str, str] | None:
        """The words of any other turn, and its results, where the words read back equal."""
        calls = step.calls
        if len(calls) != len(step.results) or not (calls or step.response):
            return None
        if any(c.arguments is None or not _SAFE(c.name) for c in calls):
            return None
        named = tuple(
            [
                Call(self.identity(c, made.number + n), c.name, c.arguments)
                for n, c in enumerate(calls)
            ]
        )
        reasoning = (step.reasoning or None) if self.reasons else None
        turn = Assistant(step.response, named, reasoning)
        if calls:
            self._check(turn, step.turn)
        words = self.said(turn, last=last)
        read = self.read_said(words, made.tools)
        meant = [(c.name, c.arguments) for c in calls]
        if (read.content, read.reasoning) != (turn.content, reasoning):
            return None
        if _encode(read.calls) != _encode(meant):
            return None
        texts = _texts([step])
        if texts is None:
            return None
        made.values += [step.response, reasoning or ""]
        # As the markup stands in them, whether or not the format writes JSON.
        made.values += [dumps(call.arguments) for call in calls]
        made.values += texts
        if not calls:
            return words, ""
        seen = [Observation(c.id, c.name, t) for c, t in zip(named, texts, strict=True)]
        return words, self.results(Results(tuple(seen)))


def _later(steps: list[AnyStep]) -> bool:
    """Whether a prompt came later than at the first step."""
    return any(step.prompt for step in steps[1:])


def _texts(steps: list[AnyStep]) -> list[str] | None:
    """Of the results, where each is one text, and each call has one."""
    made: list[str] = []
    for step in steps:
        results: tuple[AnyResult, ...] = step.results
        if len(results) != len(step.calls):
            return None
        for result in results:
            content = result.content
            if len(content) != 1 or type(content[0]) is not Text:
                return None
            made.append(content[0].text)
    return made
