"""Hermes: JSON in `<tool_call>` tags, in ChatML; also Qwen 2.5 and Qwen 3.

Sources: NousResearch/Hermes-Function-Calling; the chat templates of Qwen3 (rendered by TRL's
`qwen3_instruct_2507.jinja` they are the same, byte for byte; `tests/synth/data/test_outside.py`).
Reasoning stands in `<think>` as in `qwen3_training.jinja`.

Readers take a call up to the first `</tool_call>`, so a string that holds it is lost.
"""

import json
from typing import Any

import msgspec
from msgspec import Struct

from nexau.synth.data.conversation import Assistant, Unfit
from nexau.synth.data.formats.chat import Said, dumps, enclosed, tool_json
from nexau.synth.data.formats.chatml import ChatML
from nexau.transports.protocol import ToolSpec

_TAGS = ("<tool_call>", "</tool_call>")

INTRODUCTION = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_END = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    'within <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, '
    '"arguments": <args-json-object>}\n</tool_call>'
)


class Hermes(ChatML):
    name = "hermes"
    marks = ("<|im_", "<tool_", "</tool_", "<think>", "</think>")
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        return INTRODUCTION + "".join(f"\n{dumps(tool_json(tool))}" for tool in tools) + _END

    def said(self, turn: Assistant, *, last: bool) -> str:
        calls = "\n".join(
            [
                f'<tool_call>\n{{"name": "{c.name}", "arguments": {dumps(c.arguments)}}}'
                "\n</tool_call>"
                for c in turn.calls
            ]
        )
        gap = "\n" if turn.content and calls else ""
        return f"{self.think(turn.reasoning)}{turn.content}{gap}{calls}<|im_end|>\n"

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        reasoning, body = self.read_think(body)
        place = body.find("<tool_call>")
        if place < 0:
            return Said(body, [], reasoning)
        content = body[: place - 1] if place else ""
        return Said(content, [_call(text) for text in enclosed(body, *_TAGS, place)], reasoning)


class _Call(Struct, gc=False):
    name: str
    arguments: dict[str, Any]


_decode = msgspec.json.Decoder(_Call).decode


def _call(text: str) -> tuple[str, dict[str, Any]]:
    try:
        made = _decode(text)
        return made.name, made.arguments
    except (msgspec.DecodeError, RecursionError):
        return _loosely(text)


def _loosely(text: str) -> tuple[str, dict[str, Any]]:
    """What Python's own reader takes beyond that."""
    try:
        made = json.loads(text)
        return str(made["name"]), dict(made["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unfit(f"a <tool_call> that is no call: {text.strip()[:80]!r}: {error}") from None


FORMATS = (Hermes,)
