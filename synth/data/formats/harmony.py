"""Harmony, the format of gpt-oss: channels for thought, calls and the answer.

Source: openai/harmony, docs/format.md, and the chat template of openai/gpt-oss-20b. Tools are
declared in TypeScript in the developer's message. Thought goes to `analysis`, text before calls to
`commentary`, calls to `commentary to=functions.f`, the answer to `final`, which ends in
`<|return|>` where it is the last. Read as SGLang's `gpt_oss_detector`.

The system prompt is the developer's instructions; the system message is the format's own, with a
fixed date. A name outside of letters, digits, `_`, `.` and `-` is lost, and any text with a marker.
"""

import re
from collections.abc import Mapping
from typing import Any

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, Said, dumps, loads
from nexau.transports.protocol import ToolSpec

_START, _MESSAGE, _CHANNEL = "<|start|>", "<|message|>", "<|channel|>"
_END, _CALL, _RETURN = "<|end|>", "<|call|>", "<|return|>"
_ENDS = re.compile(r"<\|(?:end|call|return)\|>")
_SYSTEM = (
    f"{_START}system{_MESSAGE}You are ChatGPT, a large language model trained by OpenAI.\n"
    "Knowledge cutoff: 2024-06\nCurrent date: 2025-06-28\n\nReasoning: medium\n\n"
    "# Valid channels: analysis, commentary, final. Channel must be included for every message."
)
_TOOLS = "\nCalls to these tools must go to the commentary channel: 'functions'."
_DEVELOPER = f"{_START}developer{_MESSAGE}"
_INSTRUCTIONS = "# Instructions\n\n"
_SAID = re.compile(
    r"<\|channel\|>(analysis|commentary|final)"
    r"(?: to=functions\.([a-zA-Z0-9_.-]+) <\|constrain\|>json)?<\|message\|>(.*?)"
    r"<\|(end|call|return)\|>",
    re.DOTALL,
)
_AGAIN = f"{_START}assistant"


class Harmony(Brisk):
    name = "harmony"
    marks = ("<|",)
    leaves_out = "ids, is_error"

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = "".join(map(_declared, tools))
        head = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
        return f"{head}{listed}}} // namespace functions"

    def opening(self, system: str | None, declared: str) -> str:
        head = _SYSTEM + (_TOOLS if declared else "") + _END
        if system is None and not declared:
            return head
        said = f"{_INSTRUCTIONS}{system}\n\n" if system is not None else ""
        return f"{head}{_DEVELOPER}{said}{declared}{_END}"

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        head = _SYSTEM + (_TOOLS if declared else "") + _END
        if not text.startswith(head):
            raise Unfit("the system message is another")
        start = len(head)
        if not text.startswith(_DEVELOPER, start):
            return None, start
        start += len(_DEVELOPER)
        place = text.find(declared + _END, start)
        if place < 0:
            raise Unfit("the tools are not declared")
        end = place + len(declared) + len(_END)
        inner = text[start:place]
        if not inner:
            return None, end
        if not (inner.startswith(_INSTRUCTIONS) and inner.endswith("\n\n")):
            raise Unfit("the developer's message is another")
        return inner[len(_INSTRUCTIONS) : -2], end

    def user(self, content: str, before: str) -> str:
        return f"{_START}user{_MESSAGE}{content}{_END}"

    def header(self, before: str) -> str:
        return _AGAIN

    def said(self, turn: Assistant, *, last: bool) -> str:
        parts: list[str] = []
        if turn.reasoning:
            parts.append(f"{_CHANNEL}analysis{_MESSAGE}{turn.reasoning}{_END}")
        if not turn.calls:
            end = _RETURN if last else _END
            parts.append(f"{_CHANNEL}final{_MESSAGE}{turn.content}{end}")
        elif turn.content:
            parts.append(f"{_CHANNEL}commentary{_MESSAGE}{turn.content}{_END}")
        parts += [
            f"{_CHANNEL}commentary to=functions.{c.name} <|constrain|>json{_MESSAGE}"
            f"{dumps(c.arguments)}{_CALL}"
            for c in turn.calls
        ]
        return _AGAIN.join(parts)

    def results(self, turn: Results) -> str:
        tail = f" to=assistant{_CHANNEL}commentary{_MESSAGE}"
        return "".join(
            [f"{_START}functions.{o.name}{tail}{o.text}{_END}" for o in turn.observations]
        )

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        place = start
        joined = False
        """Whether the assistant goes on with the turn that it began."""
        while place < len(text):
            closed = _ENDS.search(text, place)
            if not text.startswith(_START, place) or closed is None:
                raise Unfit(f"{text[place : place + 40]!r} is no message")
            message = text[place : closed.end()]
            if message.count(_START) != 1:
                raise Unfit(f"a message within a message: {message[:40]!r}")
            if message.startswith(_AGAIN + _CHANNEL):
                inside = place + len(_AGAIN)
                if joined:
                    inside = parts.pop().start
                parts.append(Part("assistant", text[inside : closed.end()], inside))
                # A call may be followed by another, a thought by anything; an answer ends it.
                joined = f"{_CHANNEL}final" not in message
            else:
                self._other(parts, message, place)
                joined = False
            place = closed.end()
        return parts

    def _other(self, parts: list[Part], message: str, place: int) -> None:
        role, opened, body = message.partition(_MESSAGE)
        role = role.removeprefix(_START)
        if not opened or not body.endswith(_END):
            raise Unfit(f"a message of {role[:40]!r} that is not closed")
        if role == "user":
            parts.append(Part("user", body[: -len(_END)], place))
        elif role.startswith("functions.") and role.endswith(f" to=assistant{_CHANNEL}commentary"):
            if parts and parts[-1].role == "results":
                before = parts.pop()
                parts.append(Part("results", before.body + message, before.start))
            else:
                parts.append(Part("results", message, place))
        else:
            raise Unfit(f"a message of {role[:40]!r}")

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        content, reasoning = "", None
        calls: list[tuple[str, dict[str, Any]]] = []
        place = 0
        while place < len(body):
            found = _SAID.match(body, place)
            if found is None:
                raise Unfit(f"{body[place : place + 60]!r} is no message of the assistant")
            channel, name, text, _ = found.groups()
            if name is not None:
                calls.append((name, loads(text)))
            elif channel == "analysis":
                reasoning = text
            else:
                content = text
            place = found.end()
            if body.startswith(_AGAIN, place):
                place += len(_AGAIN)
        return Said(content, calls, reasoning)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        texts: list[str] = []
        for message, call in zip(body.split(_START)[1:], calls, strict=False):
            head = f"functions.{call.name} to=assistant{_CHANNEL}commentary{_MESSAGE}"
            if not message.startswith(head):
                raise Unfit(f"a result that is not of {call.name}")
            texts.append(message[len(head) : -len(_END)])
        return texts


def _declared(tool: ToolSpec) -> str:
    """As the template's `render_tool_namespace`."""
    text = f"// {tool.description}\ntype {tool.name} = "
    known = tool.parameters.get("properties")
    if not known:
        return f"{text}() => any;\n\n"
    required = tool.parameters.get("required") or []
    inner = "".join(_parameter(name, schema, required) for name, schema in known.items())
    return f"{text}(_: {{\n{inner}}}) => any;\n\n"


def _parameter(name: str, schema: Any, required: list[str]) -> str:
    schema = schema if isinstance(schema, Mapping) else {}
    described = f"// {schema['description']}\n" if schema.get("description") else ""
    text = f"{described}{name}{'' if name in required else '?'}: {_typescript(schema, required)}"
    if "default" in schema:
        plain = schema.get("enum") or schema.get("oneOf")
        default = schema["default"] if plain else dumps(schema["default"])
        text += f"// default: {default}" if schema.get("oneOf") else f", // default: {default}"
    return f"{text},\n"


_WORDS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}


def _typescript(schema: Mapping[str, Any], required: list[str]) -> str:
    """As the template's `render_typescript_type`."""
    kind = schema.get("type")
    null = " | null" if schema.get("nullable") else ""
    if kind == "array":
        return _array(schema, required) + null
    if isinstance(kind, list) and kind:
        return " | ".join(kind)
    branches = schema.get("oneOf")
    if branches:
        if len(branches) > 1 and any(branch.get("type") == "object" for branch in branches):
            return "any"
        return " | ".join(_branch(branch, required) for branch in branches)
    if kind == "string" and schema.get("enum"):
        return '"' + '" | "'.join(map(str, schema["enum"])) + '"'
    if kind in _WORDS:
        return _WORDS[kind] + (null if kind == "string" else "")
    if kind == "object":
        return _object(schema)
    return "any"


def _branch(branch: Mapping[str, Any], required: list[str]) -> str:
    text = _typescript(branch, required)
    if branch.get("description"):
        text += f"// {branch['description']}"
    if "default" in branch:
        text += f"// default: {dumps(branch['default'])}"
    return text


def _array(schema: Mapping[str, Any], required: list[str]) -> str:
    items = schema.get("items")
    if not items:
        return "any[]"
    if items.get("type") in _WORDS:
        return f"{_WORDS[items['type']]}[]"
    inner = _typescript(items, required)
    return "any[]" if inner == "object | object" or len(inner) > 50 else f"{inner}[]"


def _object(schema: Mapping[str, Any]) -> str:
    known = schema.get("properties")
    if not known:
        return "object"
    required = schema.get("required") or []
    # The template does not trim here: a line and 16 spaces come along.
    inner = ", ".join(
        f"{name}{'' if name in required else '?'}: \n                {_typescript(each, required)}"
        for name, each in known.items()
    )
    return f"{{\n{inner}}}"


FORMATS = (Harmony,)
