"""DeepSeek-V3 and V3.1: calls between markers with full-width bars (U+FF5C) and U+2581.

Sources: the chat templates of deepseek-ai/DeepSeek-V3-0324 (calls, results; its tools are declared
as in SGLang's `tool_chat_template_deepseekv3.jinja`, since its own has no place for them) and of
deepseek-ai/DeepSeek-V3.1 (non-thinking mode); read as SGLang's `deepseekv3_detector` and
`deepseekv31_detector`. After results the assistant goes on without a header, as these have it.

Neither holds reasoning. A string with one of the markers is lost; V3 also loses one that ends a
code fence.
"""

import re
from typing import ClassVar

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, Said, dumps, loads
from nexau.transports.protocol import ToolSpec

BEGIN = "<｜begin▁of▁sentence｜>"
END = "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, SEPARATOR, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
OUTPUT, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
OUTPUTS, OUTPUTS_END = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"

_CALL = re.compile(f"{re.escape(CALL)}.*?{re.escape(CALL_END)}", re.DOTALL)
_PARTS = re.compile(
    f"{re.escape(CALL)}(.*){re.escape(SEPARATOR)}(.*)\n```json\n(.*)\n```{re.escape(CALL_END)}",
    re.DOTALL,
)
_PARTS_31 = re.compile(
    f"{re.escape(CALL)}(.*){re.escape(SEPARATOR)}(.*){re.escape(CALL_END)}", re.DOTALL
)


class DeepSeekV3(Brisk):
    name = "deepseek-v3"
    leaves_out = "ids, is_error, reasoning"
    reasons = False
    marks = ("<｜", "</think>")
    outputs: ClassVar[tuple[str, str]] = (OUTPUTS, OUTPUTS_END)
    assistant: ClassVar[str] = ASSISTANT

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = "".join(
            f"- `{tool.name}`:\n```json\n"
            + dumps(
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }
            )
            + "\n```\n\n"
            for tool in tools
        )
        return (
            "\n\n## Tools\n\n### Function\n\nYou have the following functions available:\n\n"
            + listed
        )

    def opening(self, system: str | None, declared: str) -> str:
        return f"{BEGIN}{system or ''}{declared}"

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        head = len(BEGIN)
        if declared:
            place = text.find(declared)
            if place < 0:
                raise Unfit("the tools are not declared")
            return text[head:place] or None, place + len(declared)
        places = [place for mark in (USER, ASSISTANT) if (place := text.find(mark)) >= 0]
        place = min(places, default=len(text))
        return text[head:place] or None, place

    def user(self, content: str, before: str) -> str:
        return f"{USER}{content}"

    def header(self, before: str) -> str:
        return "" if before == "results" else self.assistant

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f"{turn.content}{END}"
        calls = "\n".join(
            [
                f"{CALL}function{SEPARATOR}{c.name}\n```json\n{dumps(c.arguments)}\n```{CALL_END}"
                for c in turn.calls
            ]
        )
        return f"{turn.content}{CALLS}{calls}{CALLS_END}{END}"

    def results(self, turn: Results) -> str:
        first, last = self.outputs
        inner = "".join([f"{OUTPUT}{o.text}{OUTPUT_END}" for o in turn.observations])
        return f"{first}{inner}{last}"

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        first, last = self.outputs
        place, end = start, len(text)
        while place < end:
            if text.startswith(USER, place):
                place += len(USER)
                until = min(
                    (p for m in (ASSISTANT, USER) if (p := text.find(m, place)) >= 0), default=end
                )
                parts.append(Part("user", text[place:until], place))
                place = until
            elif text.startswith(first or OUTPUT, place) and text.startswith(
                OUTPUT, place + len(first)
            ):
                place += len(first)
                until = self._outputs_end(text, place)
                parts.append(Part("results", text[place:until], place))
                place = until + len(last)
            else:
                if text.startswith(self.assistant, place):
                    place += len(self.assistant)
                elif not parts or parts[-1].role != "results":
                    raise Unfit(f"{text[place : place + 40]!r} outside of a turn")
                until = text.find(END, place)
                if until < 0:
                    raise Unfit("an assistant's turn that is not closed")
                parts.append(Part("assistant", text[place : until + len(END)], place))
                place = until + len(END)
        return parts

    def _outputs_end(self, text: str, place: int) -> int:
        while text.startswith(OUTPUT, place):
            closed = text.find(OUTPUT_END, place)
            if closed < 0:
                raise Unfit("a result that is not closed")
            place = closed + len(OUTPUT_END)
        if not text.startswith(self.outputs[1], place):
            raise Unfit("results that are not closed")
        return place

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(END)]
        content, called, rest = body.partition(CALLS)
        if not called:
            return Said(content, [])
        return Said(content, [self._call(text) for text in _CALL.findall(rest)])

    def _call(self, text: str) -> tuple[str, dict[str, object]]:
        found = _PARTS.search(text)
        if found is None:
            raise Unfit(f"a call that is none: {text[:80]!r}")
        return found[2], loads(found[3])

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        inner = body.removeprefix(OUTPUT).removesuffix(OUTPUT_END)
        return inner.split(OUTPUT_END + OUTPUT)


class DeepSeekV31(DeepSeekV3):
    name = "deepseek-v3.1"
    outputs = ("", "")
    assistant = f"{ASSISTANT}</think>"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = "".join(
            f"### {tool.name}\nDescription: {tool.description}\n\nParameters: "
            f"{dumps(tool.parameters)}\n\n"
            for tool in tools
        )
        return (
            f"\n\n## Tools\nYou have access to the following tools:\n\n{listed}"
            "IMPORTANT: ALWAYS adhere to this exact format for tool use:\n"
            f"{CALLS}{CALL}tool_call_name{SEPARATOR}tool_call_arguments{CALL_END}"
            f"{{{{additional_tool_calls}}}}{CALLS_END}\n\nWhere:\n\n"
            "- `tool_call_name` must be an exact match to one of the available tools\n"
            "- `tool_call_arguments` must be valid JSON that strictly follows the tool's "
            "Parameters Schema\n"
            "- For multiple tool calls, chain them directly without separators or spaces\n"
        )

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f"{turn.content}{END}"
        calls = "".join(
            [f"{CALL}{c.name}{SEPARATOR}{dumps(c.arguments)}{CALL_END}" for c in turn.calls]
        )
        return f"{turn.content}{CALLS}{calls}{CALLS_END}{END}"

    def _call(self, text: str) -> tuple[str, dict[str, object]]:
        found = _PARTS_31.search(text)
        if found is None:
            raise Unfit(f"a call that is none: {text[:80]!r}")
        return found[1], loads(found[2])


FORMATS = (DeepSeekV3, DeepSeekV31)
