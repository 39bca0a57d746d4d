"""Kimi-K2: calls in a section of their own, with ids `functions.NAME:N` that count through.

Source: moonshotai/Kimi-K2-Instruct, its chat template and docs/tool_call_guidance.md; read as
SGLang's `kimik2_detector`. Ids are rewritten. It holds no reasoning. A name outside of letters,
digits, `_`, `.` and `-` is lost, and so is a string with one of the markers.
"""

import json
import re

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, Said, dumps, loads, tool_json
from nexau.transports.protocol import ToolSpec

_MIDDLE, _END = "<|im_middle|>", "<|im_end|>"
_SYSTEM, _USER, _ASSISTANT = "<|im_system|>", "<|im_user|>", "<|im_assistant|>"
_SECTION, _SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_CALL = re.compile(
    r"<\|tool_call_begin\|>\s*([^\s<|]+)\s*<\|tool_call_argument_begin\|>\s*(\{.*?\})\s*"
    r"<\|tool_call_end\|>",
    re.DOTALL,
)
_ID = re.compile(r"(?:functions\.)?([\w.\-]+):(\d+)")
_TURN = re.compile(r"<\|im_(system|user|assistant)\|>(.*?)<\|im_middle\|>", re.DOTALL)
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class KimiK2(Brisk):
    name = "kimi-k2"
    leaves_out = "ids, is_error, reasoning"
    reasons = False
    marks = ("<|",)

    def identity(self, call: Call, number: int) -> str:
        return f"functions.{call.name}:{number}"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = _compact([tool_json(tool) for tool in tools])
        return f"{_SYSTEM}tool_declare{_MIDDLE}{listed}{_END}"

    def opening(self, system: str | None, declared: str) -> str:
        said = f"{_SYSTEM}system{_MIDDLE}{system}{_END}" if system is not None else ""
        return declared + said

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        if not text.startswith(declared):
            raise Unfit("the tools are not declared")
        start, head = len(declared), f"{_SYSTEM}system{_MIDDLE}"
        if not text.startswith(head, start):
            return None, start
        end = text.find(_END, start)
        return text[start + len(head) : end], end + len(_END)

    def user(self, content: str, before: str) -> str:
        return f"{_USER}user{_MIDDLE}{content}{_END}"

    def header(self, before: str) -> str:
        return f"{_ASSISTANT}assistant{_MIDDLE}"

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f"{turn.content}{_END}"
        calls = "".join(
            [
                f"<|tool_call_begin|>{c.id}<|tool_call_argument_begin|>{dumps(c.arguments)}"
                f"<|tool_call_end|>"
                for c in turn.calls
            ]
        )
        return f"{turn.content}{_SECTION}{calls}{_SECTION_END}{_END}"

    def results(self, turn: Results) -> str:
        return "".join(
            [
                f"{_SYSTEM}{o.name}{_MIDDLE}## Return of {o.call_id}\n{o.text}{_END}"
                for o in turn.observations
            ]
        )

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        place = start
        while place < len(text):
            found = _TURN.match(text, place)
            closed = text.find(_END, place)
            if found is None or closed < 0:
                raise Unfit(f"{text[place : place + 40]!r} is no turn")
            inside, place = found.end(), closed + len(_END)
            if found[1] == "assistant":
                parts.append(Part("assistant", text[inside:place], inside))
            elif found[1] == "user":
                parts.append(Part("user", text[inside:closed], inside))
            elif parts and parts[-1].role == "results":
                # All results of a turn are one part; the next begins where this one was closed.
                parts[-1] = Part("results", text[parts[-1].start : closed], parts[-1].start)
            else:
                parts.append(Part("results", text[inside:closed], inside))
        return parts

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        content, called, rest = body[: -len(_END)].partition(_SECTION)
        if not called:
            return Said(content, [])
        made = []
        for identity, arguments in _CALL.findall(rest):
            found = _ID.fullmatch(identity)
            if found is None:
                raise Unfit(f"the id {identity!r}")
            made.append((found[1], loads(arguments)))
        return Said(content, made)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        texts: list[str] = []
        for part, call in zip(re.split(r"<\|im_end\|><\|im_system\|>.*?<\|im_middle\|>", body),
                              calls, strict=False):  # fmt: skip
            head = f"## Return of {call.id}\n"
            if not part.startswith(head):
                raise Unfit(f"a result that is not {call.id}'s")
            texts.append(part[len(head) :])
        return texts


FORMATS = (KimiK2,)
