"""OpenAI chat messages, one conversation a line: what SFT trainers read by default.

`{"messages": [...], "tools": [...]}`, arguments as a JSON string, `reasoning_content` on
assistant turns, `weight: 0` on turns that the loss passes over.

Source: OpenAI API reference, "Create chat completion" (messages, tools) and "Fine-tuning, chat
format" (`weight`); `reasoning_content` as vLLM, SGLang and the chat templates of TRL have it.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import Message, SystemMessage, UserMessage
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
from nexau.synth.data.formats.base import Format, Head, ToolReader, bare, decoded, paired, raw_tools
from nexau.synth.data.spoken import AnyResult, AnyStep
from nexau.transports.protocol import Text, ToolSpec

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_arguments = msgspec.json.Decoder(dict[str, Any])


class _Function(Struct, gc=False):
    name: str
    arguments: str


class _Call(Struct, tag_field="type", tag="function", gc=False):
    id: str
    function: _Function


class _System(Struct, tag_field="role", tag="system", gc=False):
    content: str


class _User(Struct, tag_field="role", tag="user", gc=False):
    content: str


class _Assistant(Struct, tag_field="role", tag="assistant", omit_defaults=True, gc=False):
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[_Call] = []
    weight: int = 1


class _Tool(Struct, tag_field="role", tag="tool", gc=False):
    tool_call_id: str
    content: str


_Message = _System | _User | _Assistant | _Tool


class _Record(Struct, omit_defaults=True):
    messages: list[_Message]
    tools: Raw = Raw(b"[]")
    id: str = ""
    lineage: str = ""
    reward: float | None = None


class OpenAI(Format):
    name = "openai"
    summary = "chat messages with tool_calls"
    leaves_out = "is_error"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        self._tools = ToolReader()

    def fit(self, conversation: Conversation) -> Conversation:
        # Arguments are text here, so what a model wrote in place of JSON stays as it was.
        return Conversation(paired(conversation.turns), bare(conversation.tools))

    def write(self, conversation: Conversation, head: Head) -> bytes:
        messages: list[_Message] = []
        for turn in conversation.turns:
            kind = type(turn)
            if kind is Results:
                seen = turn.observations  # type: ignore[union-attr]
                messages += [_Tool(each.call_id, each.text) for each in seen]
            elif kind is Assistant:
                messages.append(_assistant(turn))  # type: ignore[arg-type]
            elif kind is User:
                messages.append(_User(turn.content))  # type: ignore[union-attr]
            else:
                messages.append(_System(turn.content))  # type: ignore[union-attr]
        tools = raw_tools(conversation.tools)
        return _encode(_Record(messages, tools, head.id, head.lineage, head.reward))

    def quick(
        self, steps: list[AnyStep], tools: tuple[ToolSpec, ...], head: Head, options: Options
    ) -> bytes | None:
        messages: list[_Message] = []
        last = len(steps) - 1
        # A line for each call: compact JSON has no newlines.
        encoded = _encode_lines([call.arguments for step in steps for call in step.calls])
        texts = iter(encoded.decode().split("\n"))
        for index, step in enumerate(steps):
            if step.prompt and not _give(messages, step.prompt):
                return None
            weight = 1 if options.loss == "all" or index == last else 0
            if options.mask_errors and any(result.is_error for result in step.results):
                weight = 0
            if not step.calls:
                if step.results:
                    return None
                messages.append(_Assistant(step.response, step.reasoning or None, [], weight))
                continue
            seen = _texts(step)
            if seen is None:
                return None
            made = [_Call(call.id, _Function(call.name, next(texts))) for call in step.calls]
            messages.append(_Assistant(step.response or None, step.reasoning or None, made, weight))
            messages += seen
        listed = raw_tools(bare(tools))
        record = _Record(messages, listed, head.id, head.lineage, head.reward)
        line = _encode(record)
        # All that is in it is text, arguments too: what is equal here is equal when it is read.
        return line if self._decoder.decode(line) == record else None

    def read(self, line: bytes) -> Conversation:
        record = decoded(self._decoder, line)
        turns: list[Turn] = []
        names: dict[str, str] = {}
        for message in record.messages:
            kind = type(message)
            if kind is _Tool:
                _add_result(turns, message, names)  # type: ignore[arg-type]
            elif kind is _Assistant:
                turn = _read_assistant(message)  # type: ignore[arg-type]
                names = {call.id: call.name for call in turn.calls}
                turns.append(turn)
            elif kind is _User:
                turns.append(User(message.content))  # type: ignore[arg-type]
            else:
                turns.append(System(message.content))  # type: ignore[arg-type]
        return Conversation(tuple(turns), self._tools(record.tools))


def _give(messages: list[_Message], prompt: tuple[Message, ...]) -> bool:
    for message in prompt:
        kind = type(message)
        if kind is UserMessage:
            messages.append(_User(message.content))  # type: ignore[arg-type]
        elif kind is SystemMessage and not messages:
            messages.append(_System(message.content))  # type: ignore[arg-type]
        else:
            return False
    return True


def _texts(step: AnyStep) -> list[_Tool] | None:
    """The results, where each call has one that is a text, and arguments, and an id of its own."""
    calls = step.calls
    results: tuple[AnyResult, ...] = step.results
    if len(calls) != len(results):
        return None
    if len(calls) > 1 and len({call.id for call in calls}) < len(calls):
        return None
    made: list[_Tool] = []
    for call, result in zip(calls, results, strict=True):
        if call.arguments is None or len(result.content) != 1:
            return None
        content = result.content[0]
        if type(content) is not Text:
            return None
        made.append(_Tool(call.id, content.text))
    return made


def _assistant(turn: Assistant) -> _Assistant:
    weight = 1 if turn.train else 0
    if not turn.calls:
        return _Assistant(turn.content, turn.reasoning, [], weight)
    calls = [
        _Call(
            call.id,
            _Function(
                call.name,
                (call.malformed or "")
                if call.arguments is None
                else _encode(call.arguments).decode(),
            ),
        )
        for call in turn.calls
    ]
    return _Assistant(turn.content or None, turn.reasoning, calls, weight)


def _read_assistant(message: _Assistant) -> Assistant:
    calls: list[Call] = []
    for call in message.tool_calls:
        text = call.function.arguments
        try:
            arguments, malformed = _arguments.decode(text), None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            arguments, malformed = None, text
        calls.append(Call(call.id, call.function.name, arguments, malformed))
    return Assistant(
        message.content or "", tuple(calls), message.reasoning_content, message.weight != 0
    )


def _add_result(turns: list[Turn], message: _Tool, names: dict[str, str]) -> None:
    name = names.get(message.tool_call_id)
    if name is None:
        raise Unfit(f"a result of {message.tool_call_id!r}, which the turn before does not call")
    seen = Observation(message.tool_call_id, name, message.content)
    before = turns[-1]
    if type(before) is Results:
        turns[-1] = Results((*before.observations, seen))
    else:
        turns.append(Results((seen,)))


FORMATS = (OpenAI,)
