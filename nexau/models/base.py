"""What every policy answers to: `Model.turn(request) -> Turn`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from nexau.transports.protocol import NO_USAGE, Content, Text, ToolSpec, Usage


class ToolCall(Struct, frozen=True, omit_defaults=True, gc=False):
    """A call that a model asks for."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    """None where the model wrote something else than a JSON object: see `malformed`."""
    malformed: str | None = None
    """The arguments as the model wrote them, when they do not parse."""


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system", gc=False):
    content: str


class UserMessage(Struct, frozen=True, tag_field="role", tag="user", gc=False):
    content: str


class AssistantMessage(
    Struct, frozen=True, tag_field="role", tag="assistant", omit_defaults=True, gc=False
):
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool", omit_defaults=True, gc=False):
    call_id: str
    content: tuple[Content, ...]
    is_error: bool = False
    structured: Any = None


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

FinishReason = Literal["stop", "tool_calls", "length", "content_filter", "other"]


class TokenData(Struct, frozen=True, omit_defaults=True, gc=False):
    """Token-level data for RL, where the endpoint gives it. What it does not give is empty."""

    prompt_ids: tuple[int, ...] = ()
    response_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Natural logarithms, one for each token of the response: as many as `response_ids`, where
    both are given. An endpoint may give either without the other."""
    incomplete: bool = False
    """The endpoint says that it wrote more tokens than it gives ids of."""


class Turn(Struct, frozen=True, omit_defaults=True, gc=False):
    """What the model said."""

    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    finish_reason: FinishReason = "stop"
    usage: Usage = NO_USAGE
    model: str = ""
    """As the endpoint names itself."""
    tokens: TokenData | None = None
    queue: float = 0.0
    """Seconds spent waiting for a connection, or between retries."""


class ModelRequest(Struct, frozen=True, gc=False):
    """A prompt: all that a policy may look at."""

    messages: Sequence[Message]
    """The whole conversation so far. Only ever appended to between turns of one agent, so a
    policy may cache what it encoded for the prefix. Not to be kept or changed."""
    tools: tuple[ToolSpec, ...] = ()
    """The same tuple object at every turn of one agent, unless its tools change."""
    path: str = "root"
    """The agent's path in the tree, as `root/researcher#2`."""
    turn: int = 0
    """Turns of this agent before this one."""
    seed: int = 0
    task: str = ""
    """Id of the task."""
    plan: Any = None
    """The gold plan of the task, for the `plan` policy."""
    max_tokens: int | None = None
    """Output tokens left in the budget, if it is bounded."""
    deadline: float | None = None
    """Seconds on the event loop's clock."""
    on_delta: "OnDelta | None" = None
    """Told what the model says while it says it, where the policy streams. None: nobody listens."""


OnDelta = Callable[[str, str, int], Awaitable[None]]
"""Takes text, reasoning, and how many attempts at the turn broke off before. May take its time:
the stream waits."""


class ModelError(Exception):
    """The model failed for good; retries are spent. `status` is the HTTP status, if there was one.

    The text holds no key and no header.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Model(Protocol):
    """A policy. One object serves many rollouts at once."""

    async def turn(self, request: ModelRequest) -> Turn:
        """Raises `ModelError`. Gives up, with `ModelError`, when `request.deadline` passes."""
        ...

    async def aclose(self) -> None: ...


def text_of(content: Sequence[Content]) -> str:
    """The text parts, joined by newlines."""
    return "\n".join(part.text for part in content if isinstance(part, Text))
