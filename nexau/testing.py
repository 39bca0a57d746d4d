"""For tests of agents, tools and sinks: policies without a model, sinks without a file."""

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from msgspec.structs import replace

from nexau.models.base import ModelRequest, ToolCall, Turn
from nexau.output.sinks import Emits, Item

Play = Callable[[ModelRequest], Any]


class FunctionPolicy:
    """A policy from a function of the request, plain or async; remembers what it was asked."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.requests: list[ModelRequest] = []
        self.closed = False

    async def turn(self, request: ModelRequest) -> Turn:
        # The agent goes on appending to its list of messages.
        self.requests.append(replace(request, messages=tuple(request.messages)))
        turn = self.play(request)
        return await turn if isawaitable(turn) else turn  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed = True


def turns(*said: Turn | str) -> FunctionPolicy:
    """Plays these turns in order, for every agent from the first; a text is a last answer."""
    played = [Turn(content=turn) if isinstance(turn, str) else turn for turn in said]
    return FunctionPolicy(lambda request: played[min(request.turn, len(played) - 1)])


def calls(*wanted: tuple[str, dict[str, Any]], content: str = "") -> Turn:
    """A turn that calls tools, with ids `c0`, `c1`, ..."""
    made = tuple(ToolCall(f"c{i}", name, arguments) for i, (name, arguments) in enumerate(wanted))
    return Turn(content=content, calls=made, finish_reason="tool_calls")


class ListSink:
    """Keeps what it is given."""

    def __init__(self, emits: Emits = "trajectories") -> None:
        self.emits: Emits = emits
        self.items: list[Item] = []

    async def write(self, item: Item) -> None:
        self.items.append(item)
