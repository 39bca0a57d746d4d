"""NexAU XML: `<tool_use>` with a tag for each parameter, in ChatML.

Source: the XML mode of the original NexAU runtime (v0.4). Delegations are calls of the sub-agent's
tool; one with the single argument `task` is written as `<sub-agent>`, whose `<message>` is the
argument. Values are escaped as XML text, and get their types from the tool's schema as in
`minimax_m2`; several calls are several elements. Argument names have to be XML names.
"""

import re
from typing import Any
from xml.sax.saxutils import escape, unescape

from nexau.models.base import ToolCall
from nexau.synth.data.conversation import Assistant, Call, Unfit
from nexau.synth.data.formats.chat import Said, dumps, tool_json
from nexau.synth.data.formats.chatml import ChatML
from nexau.synth.data.formats.tagged import Tagged, same
from nexau.synth.data.formats.typed import bare_value, minimax_value, properties
from nexau.transports.protocol import ToolSpec

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_USE = re.compile(
    r"<tool_use><tool_name>(.*?)</tool_name><parameter>(.*?)</parameter></tool_use>"
    r"|<sub-agent><agent_name>(.*?)</agent_name><message>(.*?)</message></sub-agent>",
    re.DOTALL,
)
_PARAMETER = re.compile(r"<([A-Za-z_][\w.-]*)>(.*?)</\1>", re.DOTALL)
_BEGIN = "# Tools\n\nThe tools that you may use, one JSON object a line:\n<tools>"
_END = (
    "\n</tools>\n\nUse a tool with\n<tool_use><tool_name>name</tool_name><parameter><key>value"
    "</key></parameter></tool_use>\nand ask a sub-agent with\n<sub-agent><agent_name>name"
    "</agent_name><message>what to do</message></sub-agent>"
)
_TASK = ("task",)
_TEXT = {"type": "string"}


class NexauXML(ChatML, Tagged):
    name = "nexau-xml"
    marks = ("<|im_", "<tool_", "</tool_", "think>", "<sub-", "</sub-", "<agent_", "</agent_",
             "<parameter", "</parameter", "<message>", "</message>")  # fmt: skip
    hole = "</parameter></tool_use>"
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        return _BEGIN + "".join(f"\n{dumps(tool_json(tool))}" for tool in tools) + _END

    def reread(self, text: str, known: dict[str, Any], key: str) -> Any:
        return minimax_value(unescape(escape(text)), known.get(key, _TEXT))

    def written(
        self, calls: list[ToolCall], tools: tuple[ToolSpec, ...]
    ) -> tuple[list[str], list[str]] | None:
        made: list[str] = []
        values: list[str] = []
        schemas = properties(tools)
        for call in calls:
            # An only argument `task` is a sub-agent's.
            if call.arguments is None or tuple(call.arguments) == _TASK:
                return None
            known = schemas.get(call.name, {})
            inner = ""
            for key, value in call.arguments.items():
                shown = value if type(value) is str else bare_value(value)
                if not _NAME.fullmatch(key) or not same(self.reread(shown, known, key), value):
                    return None
                values.append(shown)
                inner += f"<{key}>{escape(shown)}</{key}>"
            made.append(inner)
        return made, values

    def said(self, turn: Assistant, *, last: bool) -> str:
        calls = "\n".join(map(_written, turn.calls))
        gap = "\n" if turn.content and calls else ""
        return f"{self.think(turn.reasoning)}{turn.content}{gap}{calls}<|im_end|>\n"

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        reasoning, body = self.read_think(body)
        found = list(_USE.finditer(body))
        if not found:
            return Said(body, [], reasoning)
        place = found[0].start()
        schemas = properties(tools)
        return Said(body[: place - 1] if place else "", [_read(m, schemas) for m in found],
                    reasoning)  # fmt: skip


def _written(call: Call) -> str:
    assert call.arguments is not None
    if tuple(call.arguments) == _TASK and isinstance(call.arguments["task"], str):
        message = escape(call.arguments["task"])
        return (f"<sub-agent><agent_name>{escape(call.name)}</agent_name>"
                f"<message>{message}</message></sub-agent>")  # fmt: skip
    for name in call.arguments:
        if not _NAME.fullmatch(name):
            raise Unfit(f"{name!r} is no XML name")
    inner = "".join(
        f"<{key}>{escape(bare_value(value))}</{key}>" for key, value in call.arguments.items()
    )
    return (f"<tool_use><tool_name>{escape(call.name)}</tool_name>"
            f"<parameter>{inner}</parameter></tool_use>")  # fmt: skip


def _read(found: re.Match[str], schemas: Any) -> tuple[str, dict[str, Any]]:
    name, inner, agent, message = found.groups()
    if agent is not None:
        return unescape(agent), {"task": unescape(message)}
    name = unescape(name)
    known = schemas.get(name, {})
    return name, {
        key: minimax_value(unescape(value), known.get(key, _TEXT))
        for key, value in _PARAMETER.findall(inner)
    }


FORMATS = (NexauXML,)
