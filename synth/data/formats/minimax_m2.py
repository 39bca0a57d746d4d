"""MiniMax-M2: `<invoke name="f">` and `<parameter name="a">` inside `<minimax:tool_call>`.

Source: the chat template of MiniMaxAI/MiniMax-M2; read as SGLang's `minimax_m2`. Names stand in
quotes: without them the readers find no call at all.

Readers strip newlines from values and give them the narrowest type that the schema admits, so
"null", strings with newlines at the edges, 1.0, and strings with `</parameter>` are lost.
"""

import re
from collections.abc import Mapping
from typing import Any

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.chat import Part, Said, between, dumps
from nexau.synth.data.formats.tagged import Tagged
from nexau.synth.data.formats.typed import bare_value, minimax_value, properties
from nexau.transports.protocol import ToolSpec

_HEAD, _START, _END = "]~!b[", "]~b]", "[e~[\n"
_TEXT = {"type": "string"}
_BEGIN, _CLOSE = "<minimax:tool_call>", "</minimax:tool_call>"
_INVOKE = re.compile(r'<invoke name="(.*?)</invoke>', re.DOTALL)
_PARAMETER = re.compile(r'<parameter name="(.*?)</parameter>', re.DOTALL)
_DECLARED = (
    "\n\n# Tools\nYou may call one or more tools to assist with the user query.\n"
    "Here are the tools available in JSONSchema format:\n\n<tools>\n"
)
_DECLARED_END = (
    "</tools>\n\nWhen making tool calls, use XML format to invoke tools and pass parameters:\n\n"
    '<minimax:tool_call>\n<invoke name="tool-name-1">\n<parameter name="param-key-1">'
    'param-value-1</parameter>\n<parameter name="param-key-2">param-value-2</parameter>\n...\n'
    "</invoke>\n</minimax:tool_call>"
)


class MiniMaxM2(Tagged):
    name = "minimax-m2"
    marks = ("]~", "[e~[", "think>", "<minimax:", "</minimax:", "<invoke", "</invoke",
             "<parameter", "</parameter", "<response>", "</response>")  # fmt: skip
    hole = "</invoke>"
    around = ('<parameter name="', '">', "</parameter>\n")
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = "".join(
            "<tool>"
            + dumps(
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }
            )
            + "</tool>\n"
            for tool in tools
        )
        return _DECLARED + listed + _DECLARED_END

    def opening(self, system: str | None, declared: str) -> str:
        if system is None and not declared:
            return _HEAD
        return f"{_HEAD}{_START}system\n{system or ''}{declared}{_END}"

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        head = f"{_HEAD}{_START}system\n"
        if not text.startswith(head):
            return None, len(_HEAD)
        place = text.find(declared + _END)
        if place < 0:
            raise Unfit("the tools are not declared")
        return text[len(head) : place] or None, place + len(declared) + len(_END)

    def user(self, content: str, before: str) -> str:
        return f"{_START}user\n{content}{_END}"

    def header(self, before: str) -> str:
        return f"{_START}ai\n"

    def reread(self, text: str, known: dict[str, Any], key: str) -> Any:
        return minimax_value(text.strip("\n"), known.get(key, _TEXT))

    def said(self, turn: Assistant, *, last: bool) -> str:
        thought = f"<think>\n{turn.reasoning}\n</think>\n\n" if turn.reasoning else ""
        calls = ""
        if turn.calls:
            calls = f"\n{_BEGIN}\n{''.join(map(_written, turn.calls))}{_CLOSE}"
        return f"{thought}{turn.content}{calls}{_END}"

    def results(self, turn: Results) -> str:
        inner = "\n".join([f"<response>{o.text}</response>" for o in turn.observations])
        return f"{_START}tool\n{inner}{_END}"

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        pieces = text[start:].split(_START)
        if pieces[0]:
            raise Unfit(f"{pieces[0][:40]!r} outside of a turn")
        place = start
        for piece in pieces[1:]:
            place += len(_START)
            role, _, body = piece.partition("\n")
            if not body.endswith(_END) or body.count("[e~[") != 1:
                raise Unfit(f"a turn that is not closed once: {piece[:40]!r}")
            inside = place + len(role) + 1
            if role == "ai":
                parts.append(Part("assistant", body, inside))
            elif role in ("user", "tool"):
                kind = "user" if role == "user" else "results"
                parts.append(Part(kind, body[: -len(_END)], inside))
            else:
                raise Unfit(f"a turn of {role[:40]!r}")
            place += len(piece)
        return parts

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(_END)]
        reasoning: str | None = None
        if body.startswith("<think>\n"):
            reasoning, _, body = body[len("<think>\n") :].partition("\n</think>\n\n")
        content, called, rest = body.partition("\n" + _BEGIN)
        if not called:
            return Said(content, [], reasoning)
        schemas = properties(tools)
        block = rest.partition(_CLOSE)[0]
        return Said(content, [_read(text, schemas) for text in _INVOKE.findall(block)], reasoning)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        inner = between(body, "<response>", "</response>")
        return inner.split("</response>\n<response>")


def _written(call: Call) -> str:
    assert call.arguments is not None
    inner = "".join(
        f'<parameter name="{key}">{bare_value(value)}</parameter>\n'
        for key, value in call.arguments.items()
    )
    return f'<invoke name="{call.name}">\n{inner}</invoke>\n'


def _read(text: str, schemas: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    name, closed, rest = text.partition('">')
    if not closed:
        raise Unfit(f"an invoke without a name: {text[:40]!r}")
    name = name.strip()
    known = schemas.get(name, {})
    arguments: dict[str, Any] = {}
    for found in _PARAMETER.findall(rest):
        key, closed, value = found.partition('">')
        if closed:
            key = key.strip()
            arguments[key] = minimax_value(value.strip("\n"), known.get(key, _TEXT))
    return name, arguments


FORMATS = (MiniMaxM2,)
