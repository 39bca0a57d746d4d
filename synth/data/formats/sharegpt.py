"""ShareGPT: `{"conversations": [{"from", "value"}], "system", "tools"}`, as LLaMA-Factory reads it.

`from` is human, gpt, function_call or observation. Calls are JSON in a `function_call` entry, one
object or, for several at once, a list; results are an `observation`, of several a JSON list of
their texts. Reasoning (`<think>` to `</think>`) and text before a call stand in front of the JSON.
Entries that the loss passes over have `loss: false`, which ms-swift reads.

Source: LLaMA-Factory, data/README.md, "Sharegpt format"; ms-swift, "Custom dataset", `loss`.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import UserMessage
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
from nexau.synth.data.convert import Options
from nexau.synth.data.formats.base import (
    Format,
    Head,
    ToolReader,
    bare,
    decoded,
    paired,
    parted,
    position,
    raw_tools,
)
from nexau.synth.data.spoken import AnyResult, AnyStep
from nexau.transports.protocol import Text, ToolSpec

_encode_lines = msgspec.json.Encoder().encode_lines
_encode = msgspec.json.Encoder().encode
_THINK = re.compile(r"<think>\n(.*?)\n</think>\n\n", re.DOTALL)


class _Entry(Struct, omit_defaults=True, rename={"kind": "from"}, gc=False):
    kind: str
    value: str
    loss: bool = True


class _Call(Struct, gc=False):
    name: str
    arguments: dict[str, Any]


_calls = msgspec.json.Decoder(_Call | list[_Call])
_lines = msgspec.json.Decoder(_Call).decode_lines
_texts = msgspec.json.Decoder(list[str])


class _Record(Struct, omit_defaults=True):
    conversations: list[_Entry]
    system: str | None = None
    tools: str = "[]"
    """JSON as text, which is what LLaMA-Factory takes."""
    id: str = ""
    lineage: str = ""
    reward: float | None = None


class ShareGPT(Format):
    name = "sharegpt"
    summary = "human, gpt, function_call, observation"
    leaves_out = "ids, is_error"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        self._tools = ToolReader()

    def fit(self, conversation: Conversation) -> Conversation:
        return Conversation(paired(conversation.turns, position), bare(conversation.tools))

    def write(self, conversation: Conversation, head: Head) -> bytes:
        entries: list[_Entry] = []
        system: str | None = None
        for turn in conversation.turns:
            match turn:
                case System():
                    system = turn.content
                case User():
                    entries.append(_Entry("human", turn.content))
                case Results():
                    texts = [seen.text for seen in turn.observations]
                    value = texts[0] if len(texts) == 1 else _encode(texts).decode()
                    entries.append(_Entry("observation", value))
                case Assistant():
                    kind = "function_call" if turn.calls else "gpt"
                    entries.append(_Entry(kind, _value(turn), turn.train))
        tools = bytes(raw_tools(conversation.tools)).decode()
        return _encode(_Record(entries, system, tools, head.id, head.lineage, head.reward))

    def quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        entries: list[_Entry] = []
        calls: list[_Call] = []
        system, prompt = parted(steps[0].prompt)
        last = len(steps) - 1
        for index, step in enumerate(steps):
            for message in step.prompt if index else prompt:
                if type(message) is not UserMessage:
                    return None
                entries.append(_Entry("human", message.content))
            loss = options.loss == "all" or index == last
            if options.mask_errors and any(result.is_error for result in step.results):
                loss = False
            spoken = _step(step, calls, loss=loss)
            if spoken is None:
                return None
            entries += spoken
        listed = bytes(raw_tools(bare(tools))).decode()
        record = _Record(entries, system, listed, head.id, head.lineage, head.reward)
        line = _encode(record)
        back = self._decoder.decode(line)
        if back != record:
            return None
        said = "\n".join([e.value for e in back.conversations if e.kind == "function_call"])
        # To the byte: 1 and 1.0 are equal, and so are objects whose keys are in another order.
        return line if _encode_lines(_lines(said) if said else []) == _encode_lines(calls) else None

    def read(self, line: bytes) -> Conversation:
        record = decoded(self._decoder, line)
        turns: list[Turn] = [] if record.system is None else [System(record.system)]
        number = 0
        calls: tuple[Call, ...] = ()
        for entry in record.conversations:
            if entry.kind == "human":
                turns.append(User(entry.value))
            elif entry.kind == "observation":
                turns.append(_observed(entry.value, calls))
            else:
                turn = _spoken(entry, number)
                calls = turn.calls
                number += len(calls)
                turns.append(turn)
        return Conversation(tuple(turns), self._tools(Raw(record.tools.encode())))


def _step(step: AnyStep, calls: list[_Call], *, loss: bool) -> tuple[_Entry, ...] | None:
    """An answer, or one call and nothing else, with its result: a text beside calls, and several of
    them, are for the long way to take apart again.
    """
    results: tuple[AnyResult, ...] = step.results
    if step.reasoning or len(step.calls) != len(results):
        return None
    if not step.calls:
        if step.response.startswith("<think>"):
            return None
        return (_Entry("gpt", step.response, loss),)
    call, content = step.calls[0], results[0].content
    if len(results) > 1 or step.response or call.arguments is None or len(content) != 1:
        return None
    seen = content[0]
    if type(seen) is not Text:
        return None
    made = _Call(call.name, call.arguments)
    calls.append(made)
    return (
        _Entry("function_call", _encode(made).decode(), loss),
        _Entry("observation", seen.text),
    )


def _value(turn: Assistant) -> str:
    thought = f"<think>\n{turn.reasoning}\n</think>\n\n" if turn.reasoning else ""
    if not turn.calls:
        return thought + turn.content
    listed = [_Call(call.name, call.arguments or {}) for call in turn.calls]
    text = _encode(listed[0] if len(listed) == 1 else listed).decode()
    return f"{thought}{turn.content}\n{text}" if turn.content else thought + text


def _spoken(entry: _Entry, number: int) -> Assistant:
    text = entry.value
    reasoning: str | None = None
    if (match := _THINK.match(text)) is not None:
        reasoning, text = match[1], text[match.end() :]
    if entry.kind == "gpt":
        return Assistant(text, (), reasoning, entry.loss)
    if entry.kind != "function_call":
        raise Unfit(f"an entry from {entry.kind!r}")
    # JSON as it is written here has no newline, so the last line is the calls.
    content, _, calls = text.rpartition("\n")
    try:
        listed = _calls.decode(calls)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfit(f"calls that are no JSON: {error}") from None
    made = listed if isinstance(listed, list) else [listed]
    named = tuple(Call(f"c{number + n}", c.name, c.arguments) for n, c in enumerate(made))
    return Assistant(content, named, reasoning, entry.loss)


def _observed(value: str, calls: tuple[Call, ...]) -> Results:
    texts = [value] if len(calls) == 1 else _texts.decode(value)
    if len(texts) != len(calls):
        raise Unfit(f"{len(texts)} results for {len(calls)} calls")
    return Results(
        tuple(
            Observation(call.id, call.name, text) for call, text in zip(calls, texts, strict=True)
        )
    )


FORMATS = (ShareGPT,)
