"""Mistral: v3 (calls as a JSON list with ids) and v11 (`[TOOL_CALLS]f[CALL_ID]id[ARGS]{...}`).

Source: mistral-common, `tokens/tokenizers/instruct.py`, InstructTokenizerV3 and V11, whose tokens
these texts give (`tests/synth/data/test_outside.py`); v3 has the spaces that its SentencePiece
tokenizer puts after markers. Tools stand in front of the last of the user's messages, in v3 the
system prompt stands in it, and is held as a part of it.

Ids are rewritten to nine letters and digits, as the API asks. v3 holds results that are JSON as
values, so their spaces change, and text or calls in a turn, not both. Neither holds reasoning. v13
leaves `[CALL_ID]` out, which the reader here takes as well.
"""

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Results,
    System,
    Turn,
    Unfit,
    User,
)
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, Said, dumps, loads, tool_json
from nexau.transports.protocol import ToolSpec

_BOS, _EOS = "<s>", "</s>"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOOLS, _TOOLS_END = "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"
_INST, _INST_END = "[INST]", "[/INST]"
_RESULTS, _RESULTS_END, _CONTENT = "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CONTENT]"
_CALLS = "[TOOL_CALLS]"
_SYSTEM, _SYSTEM_END = "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"
_CALL = re.compile(
    r"\[TOOL_CALLS\](.*?)(?:\[CALL_ID\](.*?))?\[ARGS\](.*?)(?=\[TOOL_CALLS\]|$)", re.DOTALL
)


@lru_cache(4096)
def nine(number: int, name: str) -> str:
    """An id of nine letters and digits, from the place of the call and its name."""
    value = int.from_bytes(hashlib.sha256(f"{number}:{name}".encode()).digest()[:8])
    digits = []
    for _ in range(9):
        value, place = divmod(value, len(_LETTERS))
        digits.append(_LETTERS[place])
    return "".join(digits)


class _Mistral(Brisk):
    reasons = False
    tools_before_user = True
    space = ""
    """After a marker."""

    def identity(self, call: Call, number: int) -> str:
        return nine(number, call.name)

    def declare(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        listed = dumps([tool_json(tool) for tool in tools])
        return f"{_TOOLS}{self.space}{listed}{_TOOLS_END}"

    def user(self, content: str, before: str) -> str:
        return f"{_INST}{self.space}{content}{_INST_END}"

    def header(self, before: str) -> str:
        return ""

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        place = start
        while place < len(text):
            if text.startswith(_TOOLS, place):
                # What it must be is known: `_turns` looks at it.
                place = _after(text, _TOOLS_END, place)
            elif text.startswith(_INST, place):
                end = _after(text, _INST_END, place)
                inside = place + len(_INST) + len(self.space)
                parts.append(Part("user", text[inside : end - len(_INST_END)], inside))
                place = end
            elif text.startswith(_RESULTS, place):
                end = _after(text, _RESULTS_END, place)
                begun = parts.pop().start if parts and parts[-1].role == "results" else place
                parts.append(Part("results", text[begun:end], begun))
                place = end
            else:
                end = _after(text, _EOS, place)
                parts.append(Part("assistant", text[place:end], place))
                place = end
        return parts

    def _turns(
        self, text: str, tools: tuple[ToolSpec, ...], counted: dict[int, int]
    ) -> tuple[Turn, ...]:
        if self.declared(tools) not in text:
            raise Unfit("the tools are not declared")
        return super()._turns(text, tools, counted)


class MistralV3(_Mistral):
    name = "mistral-v3"
    leaves_out = "ids, is_error, reasoning, spaces in results that are JSON"
    content_with_calls = False
    space = " "

    def fit(self, conversation: Conversation) -> Conversation:
        held = super().fit(conversation)
        turns = held.turns
        if not turns or type(turns[0]) is not System:
            return held
        rest = list(turns[1:])
        last = max((i for i, turn in enumerate(rest) if type(turn) is User), default=-1)
        if last < 0:
            raise Unfit("no message of a user, in which the system prompt would stand")
        rest[last] = User(f"{turns[0].content}\n\n{rest[last].content}")  # type: ignore[union-attr]
        return Conversation(tuple(rest), held.tools)

    def seen(self, text: str) -> str:
        value = _value(text)
        return value if isinstance(value, str) else dumps(value)

    def opening(self, system: str | None, declared: str) -> str:
        return _BOS

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        if not text.startswith(_BOS):
            raise Unfit("it does not begin with <s>")
        return None, len(_BOS)

    def said(self, turn: Assistant, *, last: bool) -> str:
        if not turn.calls:
            return f" {turn.content}{_EOS}"
        calls = [{"name": c.name, "arguments": c.arguments, "id": c.id} for c in turn.calls]
        return f"{_CALLS} {dumps(calls)}{_EOS}"

    def results(self, turn: Results) -> str:
        made = [{"content": _value(o.text), "call_id": o.call_id} for o in turn.observations]
        return "".join([f"{_RESULTS} {dumps(each)}{_RESULTS_END}" for each in made])

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(_EOS)]
        if not body.startswith(_CALLS):
            return Said(body.removeprefix(" "), [])
        try:
            made = [(str(c["name"]), dict(c["arguments"])) for c in json.loads(body[len(_CALLS) :])]
        except (ValueError, KeyError, TypeError) as error:
            raise Unfit(f"calls that are none: {error}") from None
        return Said("", made)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        texts: list[str] = []
        for piece in body.removesuffix(_RESULTS_END).split(_RESULTS_END + _RESULTS):
            made = loads(piece.removeprefix(_RESULTS))
            if made.get("call_id") not in {call.id for call in calls}:
                raise Unfit(f"a result of {made.get('call_id')!r}")
            value = made.get("content")
            texts.append(value if isinstance(value, str) else dumps(value))
        return texts


class MistralV11(_Mistral):
    name = "mistral-v11"
    marks = ("[TOOL_", "[/", "[INST", "[AVAIL", "[ARGS", "[CALL_", "[SYSTEM", "<s>", "</s>")
    leaves_out = "ids, is_error, reasoning"

    def opening(self, system: str | None, declared: str) -> str:
        return _BOS + (f"{_SYSTEM}{system}{_SYSTEM_END}" if system is not None else "")

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        if not text.startswith(_BOS):
            raise Unfit("it does not begin with <s>")
        if not text.startswith(_SYSTEM, len(_BOS)):
            return None, len(_BOS)
        end = _after(text, _SYSTEM_END, len(_BOS))
        return text[len(_BOS) + len(_SYSTEM) : end - len(_SYSTEM_END)], end

    def said(self, turn: Assistant, *, last: bool) -> str:
        calls = [f"{_CALLS}{c.name}[CALL_ID]{c.id}[ARGS]{dumps(c.arguments)}" for c in turn.calls]
        return f"{turn.content}{''.join(calls)}{_EOS}"

    def results(self, turn: Results) -> str:
        return "".join(
            [f"{_RESULTS}{o.call_id}{_CONTENT}{o.text}{_RESULTS_END}" for o in turn.observations]
        )

    def read_said(self, body: str, tools: tuple[ToolSpec, ...]) -> Said:
        body = body[: -len(_EOS)]
        place = body.find(_CALLS)
        if place < 0:
            return Said(body, [])
        calls = [(name, loads(arguments)) for name, _, arguments in _CALL.findall(body, place)]
        if not calls:
            raise Unfit(f"calls that are none: {body[place : place + 80]!r}")
        return Said(body[:place], calls)

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        texts: list[str] = []
        for piece in body.removesuffix(_RESULTS_END).split(_RESULTS_END + _RESULTS):
            identity, opened, text = piece.removeprefix(_RESULTS).partition(_CONTENT)
            if not opened or identity not in {call.id for call in calls}:
                raise Unfit(f"a result of {identity!r}")
            texts.append(text)
        return texts


def _value(text: str) -> Any:
    """A result as v3 holds it: the value where it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _after(text: str, mark: str, place: int) -> int:
    """The end of the next `mark`. Raises `Unfit`."""
    found = text.find(mark, place)
    if found < 0:
        raise Unfit(f"no {mark} after {text[place : place + 40]!r}")
    return found + len(mark)


FORMATS = (MistralV3, MistralV11)
