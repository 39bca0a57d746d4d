"""Streamed chat completions: server-sent events to the answer they add up to.

Events as in the WHATWG HTML standard, section 9.2.6; deltas as in OpenAI's "chat completion chunk".
"""

from collections.abc import Iterator
from typing import Any

from nexau.models.openai_wire import (
    NotAChatCompletion,
    WireAnswer,
    WireCall,
    WireChoice,
    WireFunction,
    WireLogprob,
    WireLogprobs,
    WireMessage,
    decode_answer,
    error_text,
    reasoning_of,
)


class EventData:
    """Cuts a byte stream into the data of its events."""

    def __init__(self) -> None:
        self._rest = b""
        self._held: list[bytes] = []
        """Pieces of a line that go after `_rest`: joined once, however many they are."""
        self._lines: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if b"\n" not in chunk and b"\r" not in chunk and not self._rest.endswith(b"\r"):
            self._held.append(chunk)
            return
        data = b"".join((self._rest, *self._held, chunk))
        self._held.clear()
        if b"\r" in data:
            held = b"\r" if data.endswith(b"\r") else b""  # its line feed may be still to come
            data = data.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._lines.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._lines:
                yield b"\n".join(self._lines)
                self._lines = []

    def flush(self) -> Iterator[bytes]:
        """What an endpoint that forgets the last empty line has left."""
        yield from self.feed(b"\n\n")


class StreamedAnswer:
    """Adds up chunks. `done` once the endpoint has said that nothing more will come."""

    def __init__(self) -> None:
        self.done = False
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._told = 0, 0
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._logprobs: list[WireLogprob] = []
        self._answer = WireAnswer()
        self._choice = WireChoice()

    def news(self) -> tuple[str, str] | None:
        """Text and reasoning that have come since this was asked last, if any."""
        text = "".join(self._content[self._told[0] :])
        reasoning = "".join(self._reasoning[self._told[1] :])
        self._told = len(self._content), len(self._reasoning)
        return (text, reasoning) if text or reasoning else None

    def add(self, data: bytes) -> None:
        """One event's data. Raises `NotAChatCompletion`."""
        if data == b"[DONE]":
            self.done = True
            return
        chunk = decode_answer(data)
        if chunk.error:
            raise NotAChatCompletion(f"the stream ended with an error: {error_text(chunk.error)}")
        answer = self._answer
        answer.model = chunk.model or answer.model
        answer.usage = chunk.usage or answer.usage
        answer.prompt_token_ids = chunk.prompt_token_ids or answer.prompt_token_ids
        if chunk.choices:
            self._add_choice(chunk.choices[0])

    def _add_choice(self, chunk: WireChoice) -> None:
        choice = self._choice
        choice.finish_reason = chunk.finish_reason or choice.finish_reason
        choice.prompt_token_ids = chunk.prompt_token_ids or choice.prompt_token_ids
        choice.meta_info = chunk.meta_info or choice.meta_info
        if chunk.token_ids:
            choice.token_ids = (choice.token_ids or []) + chunk.token_ids
        if chunk.logprobs is not None and chunk.logprobs.content:
            self._logprobs += chunk.logprobs.content
        delta = chunk.delta or chunk.message
        if delta is None:
            return
        if isinstance(delta.content, str):
            self._content.append(delta.content)
        elif delta.content:
            self._content += [part.text for part in delta.content if part.text]
        self._reasoning.append(reasoning_of(delta))
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for call in delta.tool_calls or ():
            self._add_call(call)

    def _add_call(self, delta: WireCall) -> None:
        call = self._open_call(delta)
        call.id = call.id or delta.id
        function = delta.function
        if function is None:
            return
        call.name = call.name or function.name or ""
        if isinstance(function.arguments, str):
            call.arguments.append(function.arguments)
        elif function.arguments is not None:
            call.whole = function.arguments

    def _open_call(self, delta: WireCall) -> "_Call":
        """The call that a delta goes on with. Some endpoints give no index, some always 0."""
        if delta.index is None:
            known = self._calls[-1] if self._calls else None
        else:
            known = self._by_index.get(delta.index)
        if known is not None and (not delta.id or known.id in (None, delta.id)):
            return known
        call = _Call()
        self._calls.append(call)
        if delta.index is not None:
            self._by_index[delta.index] = call
        return call

    def whole(self) -> WireAnswer:
        """The sum. Raises `NotAChatCompletion` where the stream broke off."""
        if not self.done and self._choice.finish_reason is None:
            raise NotAChatCompletion("the stream broke off before its end")
        choice = self._choice
        choice.message = WireMessage(
            "".join(self._content),
            [call.wire() for call in self._calls],
            "".join(self._reasoning),
            refusal="".join(self._refusal),
        )
        if self._logprobs:
            choice.logprobs = WireLogprobs(self._logprobs)
        self._answer.choices = [choice]
        return self._answer


class _Call:
    __slots__ = ("arguments", "id", "name", "whole")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.arguments: list[str] = []
        self.whole: dict[str, Any] | None = None

    def wire(self) -> WireCall:
        arguments = "".join(self.arguments) if self.whole is None else self.whole
        return WireCall(self.id, WireFunction(self.name, arguments))
