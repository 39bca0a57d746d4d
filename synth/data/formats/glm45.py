"""GLM-4.5: `<arg_key>` and `<arg_value>` tags; the mark of the next turn ends the assistant's.

Source: the chat template of zai-org/GLM-4.5 (rendered by TRL's `glm4moe_training.jinja` they are
the same where text has no space at its edges); read as SGLang's `glm4_moe_detector`.

Readers take a value for JSON where it is JSON, so strings that look like numbers, booleans, null,
arrays or objects are lost unless the schema says `string`, and then only plain forms survive;
so are strings with `</arg_value>`, and backslashes.
"""

import re
from typing import Any

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.chat import Part, Said, between, dumps, tool_json
from nexau.synth.data.formats.hermes import INTRODUCTION
from nexau.synth.data.formats.tagged import Tagged
from nexau.synth.data.formats.typed import bare_value, glm_value, inferred, properties
from nexau.transports.protocol import ToolSpec

_HEAD = "[gMASK]<sop>"
_SYSTEM, _USER, _ASSISTANT, _OBSERVATION = (
    "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
)  # fmt: skip
_MARK = re.compile(r"<\|(?:user|assistant|observation)\|>")
_BLOCK = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>(?:\\n|\s)*<arg_value>(.*?)</arg_value>", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z][\w .,:;/@!?-]*", re.ASCII).fullmatch
_WORDS = frozenset({"true", "false", "null", "NaN", "Infinity"})
_END = (
    "\n</tools>\n\nFor each function call, output the function name and arguments within the "
    "following XML format:\n<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n"
    "<arg_value>{arg-value-1}</arg_value>\n<arg_key>{arg-key-2}</arg_key>\n"
    "<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>"
)


class GLM45(Tagged):
    name = "glm-4.5"
    marks = ("<|", "think>", "<tool_", "</tool_", "<arg_", "</arg_")
    hole = "</tool_call>"
    around = ("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n")
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = "".join(f"\n{dumps(tool_json(tool))}" for tool in tools)
        return f"{_SYSTEM}\n{INTRODUCTION}{listed}{_END}"

    def opening(self, system: str | None, declared: str) -> str:
        return f"{_HEAD}{declared}" + (f"{_SYSTEM}\n{system}" if system is not None else "")

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        start = len(_HEAD) + len(declared)
        if not text.startswith(declared, len(_HEAD)):
            raise Unfit("the tools are not declared")
        head = f"{_SYSTEM}\n"
        if not text.startswith(head, start):
            return None, start
        found = _MARK.search(text, start)
        end = found.start() if found else len(text)
        return text[start + len(head) : end], end

    def user(self, content: str, before: str) -> str:
        # The assistant's turn has said the mark.
        return f"\n{content}" if before == "assistant" else f"{_USER}\n{content}"

    def header(self, before: str) -> str:
        return _ASSISTANT

    def reread(self, text: str, known: dict[str, Any], key: str) -> Any:
        kind = inferred(known[key]) if key in known else None
        if kind == "string" and _PLAIN(text) and text not in _WORDS:
            return text  # neither JSON, nor changed by being read as a part of it
        return glm_value(text, kind)

    def said(self, turn: Assistant, *, last: bool) -> str:
        content = f"\n{turn.content}" if turn.content else ""
        calls = "".join(map(_written, turn.calls))
        mark = _OBSERVATION if turn.calls else _USER
        return f"\n<think>{turn.reasoning or ''}</think>{content}{calls}{mark}"

    def results(self, turn: Results) -> str:
        return "".join(
            [f"\n<tool_response>\n{o.text}\n</tool_response>" for o in turn.observations]
        )

    def split(self, text: str, start: int) -> list[Part]:
        marks = list(_MARK.finditer(text, start))
        if (marks[0].start() if marks else len(text)) != start:
            raise Unfit(f"{text[start : start + 40]!r} outside of a turn")
        parts: list[Part] = []
        said = False
        """Whether the mark belongs to the assistant's turn before it."""
        for index, mark in enumerate(marks):
            inside = mark.end()
            end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
            kind = mark.group()
            if kind == _ASSISTANT:
                if index + 1 == len(marks):
                    raise Unfit("an assistant's turn that is not closed")
                parts.append(Part("assistant", text[inside : marks[index + 1].end()], inside))
            elif inside == end and said:
                pass  # nobody has spoken yet
            elif kind == _OBSERVATION:
                parts.append(Part("results", text[inside:end], inside))
            else:
                parts.append(Part("user", between(text[inside:end], "\n", ""), inside))
            said = kind == _ASSISTANT
        return parts

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        mark = _OBSERVATION if body.endswith(_OBSERVATION) else _USER
        inner = between(body, "\n<think>", mark)
        reasoning, closed, rest = inner.partition("</think>")
        if not closed:
            raise Unfit("<think> is not closed")
        place = rest.find("<tool_call>")
        if place < 0:
            return Said(rest.removeprefix("\n"), [], reasoning or None)
        text = rest[:place].removesuffix("\n")
        schemas = properties(tools)
        calls = [_read(block, schemas) for block in _BLOCK.findall(rest, place)]
        return Said(text.removeprefix("\n"), calls, reasoning or None)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        inner = between(body, "\n<tool_response>\n", "\n</tool_response>")
        return inner.split("\n</tool_response>\n<tool_response>\n")


def _written(call: Call) -> str:
    assert call.arguments is not None
    pairs = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{bare_value(value)}</arg_value>\n"
        for key, value in call.arguments.items()
    )
    return f"\n<tool_call>{call.name}\n{pairs}</tool_call>"


def _read(block: str, schemas: Any) -> tuple[str, dict[str, Any]]:
    name, _, text = block.partition("\n")
    known = schemas.get(name, {})
    arguments: dict[str, Any] = {}
    for key, value in _PAIR.findall(text):
        key = key.strip()
        arguments[key] = glm_value(value, inferred(known[key]) if key in known else None)
    return name, arguments


FORMATS = (GLM45,)
