"""Llama 3.1 (one call a turn, as JSON) and the pythonic form `[f(a=1)]` of Llama 3.2 and 4.

Source: the chat templates of meta-llama/Llama-3.1-8B-Instruct (rendered by TRL's `llama3_1.jinja`
with its tools in the system prompt they are the same where text has no space at its edges) and
Llama-3.2-1B-Instruct; pythonic calls as in the prompt format of Llama 3.2, "Zero-shot function
calling". Read as SGLang's `llama32_detector` and `pythonic_detector`. Neither holds reasoning.

Llama 3.1 holds text or one call in a turn. Pythonic names and arguments have to be identifiers, and
negative numbers are lost: readers (of vLLM too) take constants, lists and dicts only.
"""

import ast
import json
import keyword
from typing import Any, ClassVar

import msgspec

from nexau.synth.data.conversation import Assistant, Call, Results, Unfit
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, Said, dumps, tool_json
from nexau.transports.protocol import ToolSpec

_BEGIN = "<|begin_of_text|>"
_START, _MIDDLE, _END = "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"
_DATE = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
_HOW = (
    "You have access to the following functions. To call a function, please respond with JSON for "
    'a function call.Respond in the format {"name": function name, "parameters": dictionary of '
    "argument name and its value}.Do not use variables.\n\n"
)
_HOW_PYTHONIC = (
    "You are an expert in composing functions. You are given a question and a set of possible "
    "functions. Based on the question, you will need to make one or more function/tool calls to "
    "achieve the purpose.\nIf none of the functions can be used, point it out. If the given "
    "question lacks the parameters required by the function, also point it out.\nIf you decide to "
    "invoke any of the function(s), you MUST put it in the format of "
    "[func_name1(params_name1=params_value1, params_name2=params_value2...), "
    "func_name2(params)]\n\nHere is a list of functions in JSON format that you can invoke.\n\n"
)


class _Llama(Brisk):
    leaves_out = "ids, is_error, reasoning"
    reasons = False
    environment: ClassVar[str] = "Environment: ipython\n"

    def opening(self, system: str | None, declared: str) -> str:
        environment = self.environment if declared else ""
        head = f"{_BEGIN}{_START}system{_MIDDLE}{environment}{_DATE}"
        return f"{head}{declared}{system or ''}{_END}"

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        environment = self.environment if declared else ""
        head = f"{_BEGIN}{_START}system{_MIDDLE}{environment}{_DATE}{declared}"
        end = text.find(_END, len(head))
        if not text.startswith(head) or end < 0:
            raise Unfit("the tools are not declared")
        return text[len(head) : end] or None, end + len(_END)

    def user(self, content: str, before: str) -> str:
        return f"{_START}user{_MIDDLE}{content}{_END}"

    def header(self, before: str) -> str:
        return f"{_START}assistant{_MIDDLE}"

    def results(self, turn: Results) -> str:
        # The template takes a result for something to put in JSON, text too.
        return "".join(
            [f"{_START}ipython{_MIDDLE}{dumps(o.text)}{_END}" for o in turn.observations]
        )

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        pieces = text[start:].split(_START)
        if pieces[0]:
            raise Unfit(f"{pieces[0][:40]!r} outside of a turn")
        place = start
        for piece in pieces[1:]:
            place += len(_START)
            role, opened, body = piece.partition(_MIDDLE)
            if not opened or not body.endswith(_END) or body.count(_END) != 1:
                raise Unfit(f"a turn that is not closed once: {piece[:40]!r}")
            inside = place + len(role) + len(_MIDDLE)
            if role == "ipython" and parts and parts[-1].role == "results":
                before = parts[-1]
                parts[-1] = Part("results", before.body + body, before.start)
            elif role in ("assistant", "ipython"):
                parts.append(Part("results" if role == "ipython" else role, body, inside))
            elif role == "user":
                parts.append(Part("user", body[: -len(_END)], inside))
            else:
                raise Unfit(f"a turn of {role[:40]!r}")
            place += len(piece)
        return parts

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        try:
            return [
                msgspec.json.decode(text, type=str) for text in body.removesuffix(_END).split(_END)
            ]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unfit(f"a result that is no JSON text: {error}") from None


class Llama31(_Llama):
    name = "llama-3.1"
    marks = ("<|",)
    json_results = True
    content_with_calls = False
    calls_at_once = 1

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = [json.dumps(tool_json(t), ensure_ascii=False, indent=4) + "\n\n" for t in tools]
        return _HOW + "".join(listed)

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f"{turn.content}{_END}"
        (call,) = turn.calls
        return f'{{"name": "{call.name}", "parameters": {dumps(call.arguments)}}}{_END}'

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(_END)]
        if not body.startswith("{"):
            return Said(body, [])
        try:
            made = json.loads(body)
        except ValueError:
            return Said(body, [])
        if not isinstance(made.get("parameters"), dict) or "name" not in made:
            return Said(body, [])
        return Said("", [(str(made["name"]), made["parameters"])])


class Pythonic(_Llama):
    name = "pythonic"
    environment = ""

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = [tool_json(tool)["function"] for tool in tools]
        return f"{_HOW_PYTHONIC}{json.dumps(listed, ensure_ascii=False, indent=4)}\n\n"

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f"{turn.content}{_END}"
        calls = ", ".join(map(_written, turn.calls))
        gap = "\n" if turn.content else ""
        return f"{turn.content}{gap}[{calls}]{_END}"

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(_END)]
        # A Python literal on one line has no newline, so the last `[` that begins a line begins
        # the calls.
        place = 0 if body.startswith("[") and "\n[" not in body else body.rfind("\n[") + 1
        text = body[place:]
        if not text.startswith("["):
            return Said(body, [])
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return Said(body, [])
        if not isinstance(tree, ast.List) or not tree.elts:
            return Said(body, [])
        if not all(isinstance(each, ast.Call) for each in tree.elts):
            return Said(body, [])
        content = body[: place - 1] if place else ""
        if "[" in content:
            raise Unfit("a [ before the calls, where readers look for them")
        return Said(content, [_read(each) for each in tree.elts])


def _written(call: Call) -> str:
    assert call.arguments is not None
    for name in (call.name, *call.arguments):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Unfit(f"{name!r} is no Python identifier")
    inner = ", ".join([f"{key}={value!r}" for key, value in call.arguments.items()])
    return f"{call.name}({inner})"


def _read(tree: ast.expr) -> tuple[str, dict[str, Any]]:
    assert isinstance(tree, ast.Call)
    if not isinstance(tree.func, ast.Name) or tree.args:
        raise Unfit("a call that is not `name(argument=value)`")
    arguments: dict[str, Any] = {}
    for each in tree.keywords:
        try:
            arguments[str(each.arg)] = _value(each.value)
        except ValueError:
            raise Unfit(f"{each.arg}: not a literal that readers take") from None
    return tree.func.id, arguments


def _value(tree: ast.expr) -> Any:
    """Raises ValueError."""
    match tree:
        case ast.Constant(value=None | str() | int() | float()):
            return tree.value
        case ast.List():
            return [_value(each) for each in tree.elts]
        case ast.Dict():
            keys = [_value(key) if key is not None else None for key in tree.keys]
            return dict(zip(keys, map(_value, tree.values), strict=True))
        case _:
            raise ValueError


FORMATS = (Llama31, Pythonic)
