"""ChatML turns, `<|im_start|>role` to `<|im_end|>`: the frame of Hermes, Qwen and others."""

from typing import ClassVar

from nexau.synth.data.conversation import Call, Results, Unfit
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Part, between

_START = "<|im_start|>"
_END = "<|im_end|>\n"
_ASSISTANT, _USER, _RESULTS = "assistant\n", "user\n", "user\n<tool_response>\n"
_SAID, _ASKED, _CLOSED = len(_ASSISTANT), len(_USER), len(_END)
_THINK, _THOUGHT = "<think>\n", "\n</think>\n\n"


class ChatML(Brisk):
    separator: ClassVar[str] = "\n\n"
    """Between the system prompt and the tools."""

    def opening(self, system: str | None, declared: str) -> str:
        if system is None and not declared:
            return ""
        if system is None:
            return f"{_START}system\n{declared}{_END}"
        between_them = self.separator if declared else ""
        return f"{_START}system\n{system}{between_them}{declared}{_END}"

    def read_opening(self, text: str, declared: str) -> tuple[str | None, int]:
        head = f"{_START}system\n"
        if not text.startswith(head):
            return None, 0
        if not declared:
            end = text.find(_END)
            return text[len(head) : end], end + len(_END)
        tail = declared + _END
        place = text.find(tail)
        if place < 0:
            raise Unfit("the tools are not declared")
        end = place + len(tail)
        if place == len(head):
            return None, end
        return between(text[len(head) : place], "", self.separator), end

    def user(self, content: str, before: str) -> str:
        return f"{_START}user\n{content}{_END}"

    def header(self, before: str) -> str:
        return f"{_START}assistant\n"

    def results(self, turn: Results) -> str:
        inner = "".join(
            [f"\n<tool_response>\n{o.text}\n</tool_response>" for o in turn.observations]
        )
        return f"{_START}user{inner}{_END}"

    def split(self, text: str, start: int) -> list[Part]:
        parts: list[Part] = []
        pieces = text[start:].split(_START)
        if pieces[0]:
            raise Unfit(f"{pieces[0][:40]!r} outside of a turn")
        place = start + len(_START)
        for piece in pieces[1:]:
            if not piece.endswith(_END) or piece.count("<|im_end|>") != 1 or "\n" not in piece:
                raise Unfit(f"a turn that is not closed once: {piece[:40]!r}")
            if piece.startswith(_ASSISTANT):
                parts.append(Part("assistant", piece[_SAID:], place + _SAID))
            elif piece.startswith(_RESULTS):
                parts.append(Part("results", piece[_ASKED:-_CLOSED], place + _ASKED))
            elif piece.startswith(_USER):
                parts.append(Part("user", piece[_ASKED:-_CLOSED], place + _ASKED))
            else:
                raise Unfit(f"a turn of {piece.partition(chr(10))[0][:40]!r}")
            place += len(piece) + len(_START)
        return parts

    def read_results(self, body: str, calls: tuple[Call, ...]) -> list[str]:
        inner = between(body, "<tool_response>\n", "\n</tool_response>")
        return inner.split("\n</tool_response>\n<tool_response>\n")

    def think(self, reasoning: str | None) -> str:
        return f"{_THINK}{reasoning}{_THOUGHT}" if reasoning else ""

    def read_think(self, body: str) -> tuple[str | None, str]:
        """The reasoning, and the body without it and without the end of the turn."""
        body = body[: -len(_END)]
        if not body.startswith(_THINK):
            return None, body
        reasoning, closed, rest = body[len(_THINK) :].partition(_THOUGHT)
        if not closed:
            raise Unfit("<think> is not closed")
        return reasoning, rest
