"""Python functions as tool actors."""

from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from nexau.actors import Actor
from nexau.boundary import describe, guarded_call
from nexau.definitions.functions import InvalidArguments
from nexau.definitions.values import PythonTool
from nexau.overdue import Overdue
from nexau.transports.protocol import (
    Audio,
    Call,
    Content,
    Image,
    Resource,
    ResourceLink,
    Result,
    Text,
    failure,
)

MAX_RESULT_CHARS = 1_000_000
_PARTS = (Text, Image, Audio, Resource, ResourceLink)


class FunctionTool(Actor):
    """Answers one `Call` at a time of one function; a pool of these serves many at once.

    A plain function runs in a worker thread and never on the loop. Its thread cannot be stopped:
    when the deadline passes, the call ends and the thread is left to finish.
    """

    def __init__(self, tool: PythonTool, threads: anyio.CapacityLimiter, overdue: Overdue) -> None:
        self.tool = tool
        self.threads = threads
        self.overdue = overdue

    async def receive(self, message: Call) -> Result:
        self.overdue.begin(self, self.tool.timeout)
        function = self.tool.function if self.tool.is_async else self._in_thread
        try:
            return await guarded_call(function, message.arguments, as_result, _failed, message.id)
        finally:
            self.overdue.end(self)

    async def _in_thread(self, **arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(
            partial(self.tool.function, **arguments), abandon_on_cancel=True, limiter=self.threads
        )


def _failed(call_id: str, error: Exception) -> Result:
    if isinstance(error, InvalidArguments):
        return failure(call_id, "invalid_arguments", str(error))
    return failure(call_id, "tool_error", describe(error))


def as_result(call_id: str, value: Any) -> Result:
    """What a function returned, as content: text as it is, other values as JSON."""
    if type(value) is str:
        return Result(call_id, _capped(value))
    if isinstance(value, Result):
        return msgspec.structs.replace(value, id=call_id)
    if isinstance(value, _PARTS):
        return Result(call_id, (value,))
    if isinstance(value, tuple | list) and value and all(isinstance(p, _PARTS) for p in value):
        return Result(call_id, tuple(value))
    structured = msgspec.to_builtins(value, str_keys=True)
    return Result(call_id, _capped(msgspec.json.encode(structured).decode()), structured=structured)


def _capped(text: str) -> tuple[Content, ...]:
    if len(text) <= MAX_RESULT_CHARS:
        return (Text(text),)
    note = f"[cut: {len(text)} characters, the first {MAX_RESULT_CHARS} are shown]"
    return (Text(text[:MAX_RESULT_CHARS]), Text(note))
