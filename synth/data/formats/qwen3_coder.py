"""Qwen3-Coder: `<function=f>` and `<parameter=a>` tags inside `<tool_call>`, in ChatML.

Source: the chat template of Qwen/Qwen3-Coder-30B-A3B-Instruct; read as SGLang's
`qwen3_coder_detector`. Values stand bare, and get their types from the tool's schema.

Lost are the string "null", strings with `</parameter>` or `</tool_call>`, arguments that the schema
does not name and that are no strings, and numbers such as 1.0 where an integer is declared.
"""

import re
from collections.abc import Mapping
from typing import Any

from nexau.synth.data.conversation import Assistant, Call, Unfit
from nexau.synth.data.formats.chat import Said, dumps
from nexau.synth.data.formats.chatml import ChatML
from nexau.synth.data.formats.tagged import Tagged
from nexau.synth.data.formats.typed import bare_value, properties, qwen_value
from nexau.transports.protocol import ToolSpec

_BLOCK = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FUNCTION = re.compile(r"<function=(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(
    r"<parameter=(.*?)(?:</parameter>|(?=<parameter=)|(?=</function>)|$)", re.DOTALL
)

_BEGIN = (
    "# Tools\n\nYou have access to the following functions:\n\n<tools>"
)  # fmt: skip
_END = (
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO "
    "suffix:\n\n<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\n"
    "value_1\n</parameter>\n<parameter=example_parameter_2>\nThis is the value for the second "
    "parameter\nthat can span\nmultiple lines\n</parameter>\n</function>\n</tool_call>\n\n"
    "<IMPORTANT>\nReminder:\n- Function calls MUST follow the specified format: an inner "
    "<function=...></function> block must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n- You may provide optional reasoning for your "
    "function call in natural language BEFORE the function call, but NOT after\n- If there is no "
    "function call available, answer the question like normal with your current knowledge and do "
    "not tell the user about function calls\n</IMPORTANT>"
)


class Qwen3Coder(ChatML, Tagged):
    name = "qwen3-coder"
    marks = ("<|im_", "<tool_", "</tool_", "think>", "<function", "</function", "<parameter",
             "</parameter")  # fmt: skip
    hole = "</function>"
    around = ("<parameter=", ">\n", "\n</parameter>\n")
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        return _BEGIN + "".join(map(_declared, tools)) + _END

    def reread(self, text: str, known: dict[str, Any], key: str) -> Any:
        return qwen_value(text, known.get(key), known=key in known)

    def said(self, turn: Assistant, *, last: bool) -> str:
        calls = "\n".join(map(_written, turn.calls))
        gap = "\n" if turn.content and calls else ""
        return f"{self.think(turn.reasoning)}{turn.content}{gap}{calls}<|im_end|>\n"

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        reasoning, body = self.read_think(body)
        place = body.find("<tool_call>")
        if place < 0:
            return Said(body, [], reasoning)
        schemas = properties(tools)
        calls = [
            _read(function, schemas)
            for block in _BLOCK.findall(body, place)
            for function in _FUNCTION.findall(block)
        ]
        return Said(body[: place - 1] if place else "", calls, reasoning)


def _written(call: Call) -> str:
    assert call.arguments is not None
    inner = "".join(
        f"<parameter={key}>\n{bare_value(value)}\n</parameter>\n"
        for key, value in call.arguments.items()
    )
    return f"<tool_call>\n<function={call.name}>\n{inner}</function>\n</tool_call>"


def _read(text: str, schemas: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    name, closed, rest = text.partition(">")
    if not closed:
        raise Unfit(f"a function without a name: {text[:40]!r}")
    known = schemas.get(name, {})
    arguments: dict[str, Any] = {}
    for found in _PARAMETER.findall(rest):
        key, closed, value = found.partition(">")
        if closed:
            value = value.removeprefix("\n").removesuffix("\n")
            arguments[key] = qwen_value(value, known.get(key), known=key in known)
    return name, arguments


def _declared(tool: ToolSpec) -> str:
    """Names, types and descriptions in tags; what else a schema says, as JSON in tags."""
    lines = ["", "<function>", f"<name>{tool.name}</name>"]
    if tool.description:
        lines.append(f"<description>{tool.description.strip()}</description>")
    lines.append("<parameters>")
    for name, schema in (tool.parameters.get("properties") or {}).items():
        lines += ["<parameter>", f"<name>{name}</name>"]
        if not isinstance(schema, dict):
            schema = {}
        if "type" in schema:
            kind = schema["type"]
            lines.append(f"<type>{kind if isinstance(kind, str) else dumps(kind)}</type>")
        if "description" in schema:
            lines.append(f"<description>{str(schema['description']).strip()}</description>")
        lines += _extra(schema, ("name", "type", "description"))
        lines.append("</parameter>")
    lines += _extra(tool.parameters, ("type", "properties"))
    return "\n".join([*lines, "</parameters>", "</function>"])


def _extra(schema: Mapping[str, Any], handled: tuple[str, ...]) -> list[str]:
    return [
        f"<{key}>{bare_value(value)}</{key}>" for key, value in schema.items() if key not in handled
    ]


FORMATS = (Qwen3Coder,)
