"""Anthropic messages, one conversation a line: blocks of text, thinking, tool_use, tool_result.

`{"system", "messages", "tools"}`, with `loss_mask`, one number for each message: 1 where the loss
counts it. Ids that the API refuses (anything but letters, digits, `_`, `-`) are rewritten to
`toolu_` and a digest. A `thinking` block has an empty signature: it was not signed by the API.

Source: Anthropic API reference, "Messages", content blocks and `tools[].input_schema`.
"""

import hashlib
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
from nexau.synth.data.formats.base import Format, Head, Tools, bare, decoded, paired, parted
from nexau.synth.data.spoken import AnyResult, AnyStep
from nexau.transports.protocol import Text, ToolSpec

_encode = msgspec.json.Encoder().encode
_ID = re.compile(r"[a-zA-Z0-9_-]+")


class _Text(Struct, tag_field="type", tag="text", gc=False):
    text: str


class _Thinking(Struct, tag_field="type", tag="thinking", gc=False):
    thinking: str
    signature: str = ""


class _Use(Struct, tag_field="type", tag="tool_use", gc=False):
    id: str
    name: str
    input: dict[str, Any]


class _Result(Struct, tag_field="type", tag="tool_result", omit_defaults=True, gc=False):
    tool_use_id: str
    content: str
    is_error: bool = False


_Block = _Text | _Thinking | _Use | _Result


class _User(Struct, tag_field="role", tag="user", gc=False):
    content: list[_Block] | str


class _Assistant(Struct, tag_field="role", tag="assistant", gc=False):
    content: list[_Block] | str


class _Tool(Struct):
    name: str
    description: str
    input_schema: dict[str, Any]


class _Record(Struct, omit_defaults=True):
    messages: list[_User | _Assistant]
    system: str | None = None
    tools: Raw = Raw(b"[]")
    loss_mask: list[int] = []
    id: str = ""
    lineage: str = ""
    reward: float | None = None


def _tools(tools: tuple[ToolSpec, ...]) -> Raw:
    return Raw(_encode([_Tool(tool.name, tool.description, tool.parameters) for tool in tools]))


_raw = Tools(_tools)


def _identity(call: Call, _: int) -> str:
    if _ID.fullmatch(call.id):
        return call.id
    return f"toolu_{hashlib.sha256(call.id.encode()).hexdigest()[:24]}"


class Anthropic(Format):
    name = "anthropic"
    summary = "messages of content blocks"
    leaves_out = "ids that the API refuses"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        self._tool_decoder = msgspec.json.Decoder(list[_Tool])
        self._known: dict[bytes, tuple[ToolSpec, ...]] = {}

    def fit(self, conversation: Conversation) -> Conversation:
        turns = paired(conversation.turns, _identity, errors=True)
        return Conversation(turns, bare(conversation.tools))

    def write(self, conversation: Conversation, head: Head) -> bytes:
        messages: list[_User | _Assistant] = []
        mask: list[int] = []
        system: str | None = None
        for turn in conversation.turns:
            match turn:
                case System():
                    system = turn.content
                    continue
                case User():
                    messages.append(_User(turn.content))
                    mask.append(0)
                case Results():
                    messages.append(
                        _User([_Result(o.call_id, o.text, o.is_error) for o in turn.observations])
                    )
                    mask.append(0)
                case Assistant():
                    messages.append(_Assistant(_blocks(turn)))
                    mask.append(1 if turn.train else 0)
        tools = _raw(conversation.tools)
        record = _Record(messages, system, tools, mask, head.id, head.lineage, head.reward)
        return _encode(record)

    def quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        messages: list[_User | _Assistant] = []
        mask: list[int] = []
        system, prompt = parted(steps[0].prompt)
        last = len(steps) - 1
        for index, step in enumerate(steps):
            given = step.prompt if index else prompt
            for message in given:
                if type(message) is not UserMessage:
                    return None
                messages.append(_User(message.content))
                mask.append(0)
            weight = 1 if options.loss == "all" or index == last else 0
            if options.mask_errors and any(result.is_error for result in step.results):
                weight = 0
            spoken = _step(step)
            if spoken is None:
                return None
            messages += spoken
            mask += (weight, 0)[: len(spoken)]
        listed = _raw(bare(tools))
        record = _Record(messages, system, listed, mask, head.id, head.lineage, head.reward)
        line = _encode(record)
        # To the byte: 1 and 1.0 are equal, and so are objects whose keys are in another order.
        return line if _encode(self._decoder.decode(line)) == line else None

    def read(self, line: bytes) -> Conversation:
        record = decoded(self._decoder, line)
        turns: list[Turn] = [] if record.system is None else [System(record.system)]
        names: dict[str, str] = {}
        for message, counted in zip(record.messages, record.loss_mask, strict=True):
            if isinstance(message, _Assistant):
                turn = _read_assistant(message, train=counted == 1)
                names = {call.id: call.name for call in turn.calls}
                turns.append(turn)
            elif isinstance(message.content, str):
                turns.append(User(message.content))
            else:
                turns.append(_read_results(message.content, names))
        return Conversation(tuple(turns), self._specs(record.tools))

    def _specs(self, raw: Raw) -> tuple[ToolSpec, ...]:
        text = bytes(raw)
        found = self._known.get(text)
        if found is None:
            self._known.clear()
            tools = self._tool_decoder.decode(text)
            found = tuple(ToolSpec(t.name, t.description, t.input_schema) for t in tools)
            self._known[text] = found
        return found


def _step(step: AnyStep) -> tuple[_User | _Assistant, ...] | None:
    """What was said and what came back, where each call has an id of its own that the API takes,
    arguments, and one text for a result.
    """
    calls = step.calls
    results: tuple[AnyResult, ...] = step.results
    if len(calls) != len(results):
        return None
    blocks: list[_Block] = []
    if step.reasoning:
        blocks.append(_Thinking(step.reasoning))
    if step.response:
        blocks.append(_Text(step.response))
    if not calls:
        return (_Assistant(blocks or ""),)
    if len(calls) > 1 and len({call.id for call in calls}) < len(calls):
        return None
    seen: list[_Block] = []
    for call, result in zip(calls, results, strict=True):
        if call.arguments is None or len(result.content) != 1 or not _ID.fullmatch(call.id):
            return None
        content = result.content[0]
        if type(content) is not Text:
            return None
        blocks.append(_Use(call.id, call.name, call.arguments))
        seen.append(_Result(call.id, content.text, result.is_error))
    return _Assistant(blocks), _User(seen)


def _blocks(turn: Assistant) -> list[_Block] | str:
    blocks: list[_Block] = []
    if turn.reasoning:
        blocks.append(_Thinking(turn.reasoning))
    if turn.content:
        blocks.append(_Text(turn.content))
    for call in turn.calls:
        assert call.arguments is not None
        blocks.append(_Use(call.id, call.name, call.arguments))
    # The API takes no empty text block.
    return blocks or ""


def _read_assistant(message: _Assistant, *, train: bool) -> Assistant:
    if isinstance(message.content, str):
        return Assistant(message.content, train=train)
    reasoning: str | None = None
    content = ""
    calls: list[Call] = []
    for block in message.content:
        match block:
            case _Thinking():
                reasoning = block.thinking
            case _Text():
                content = block.text
            case _Use():
                calls.append(Call(block.id, block.name, block.input))
            case _Result():
                raise Unfit("a tool_result in an assistant turn")
    return Assistant(content, tuple(calls), reasoning, train)


def _read_results(blocks: list[_Block], names: dict[str, str]) -> Results:
    seen: list[Observation] = []
    for block in blocks:
        if not isinstance(block, _Result) or block.tool_use_id not in names:
            raise Unfit("a user turn of blocks that are no results of the calls before")
        name = names[block.tool_use_id]
        seen.append(Observation(block.tool_use_id, name, block.content, block.is_error))
    return Results(tuple(seen))


FORMATS = (Anthropic,)
