"""OpenAI chat messages, one conversation a line: what SFT trainers read by default.

`{"messages": [...], "tools": [...]}`, arguments as a JSON string, `reasoning_content` on
assistant turns, `weight: 0` on turns that the loss passes over.

Source: OpenAI API reference, "Create chat completion" (messages, tools) and "Fine-tuning, chat
format" (`weight`); `reasoning_content` as vLLM, SGLang and the chat templates of TRL have it.
"""

from typing import Any

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
from nexau.synth.data.formats.base import Format, Head, ToolReader, bare, paired, raw_tools

_encode = msgspec.json.Encoder().encode
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

    def read(self, line: bytes) -> Conversation:
        try:
            record = self._decoder.decode(line)
        except msgspec.ValidationError as error:
            raise Unfit(str(error)) from None
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
