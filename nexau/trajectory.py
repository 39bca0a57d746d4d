"""What a rollout leaves behind: events, and the steps and trajectory folded from them.

Events are the ground truth. Every value here is a frozen msgspec Struct with a tag, so each
encodes to one JSON line that says what it is. Times of day are seconds since the Unix epoch;
durations are seconds.
"""

from typing import Any, Literal

from msgspec import Raw, Struct

from nexau.models.base import FinishReason, Message, TokenData, ToolCall
from nexau.transports.protocol import NO_TIMING, NO_USAGE, Content, ErrorClass, Timing, Usage

SCHEMA = "nexau/1"
"""Version of everything in this module. Readers of version 1 accept every minor addition."""

Status = Literal["completed", "limit", "failed", "cancelled"]
"""completed: the agent gave its answer. limit: a limit was hit, a scored end. failed: `error`
says why. cancelled: the run was stopped."""


class RolloutError(Struct, frozen=True, tag=False, gc=False):
    """Why a rollout failed."""

    kind: Literal["model", "tools", "definition", "crashed"]
    """model: it failed for good. tools: a server or tool could not be loaded. definition: the
    prompt did not render. crashed: a fault of the runtime or of embedded code."""
    message: str


class Signal(Struct, frozen=True, omit_defaults=True, gc=False):
    """What came next says about a step: 1 it helped, -1 it did not, 0 it does not tell."""

    value: Literal[-1, 0, 1]
    evidence: str
    by: Literal["rule", "judge"] = "rule"
    votes: tuple[int, ...] = ()
    """Of the judge's model; `value` is their majority, 0 where there is none."""


class Score(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a rollout was worth, by the check of its task."""

    reward: float
    """The product of the components; 0 where the rollout ended before its time."""
    components: dict[str, float] = {}
    """`state`, `answer`, `user` and what else the check asks for, each 0 to 1."""
    notes: tuple[str, ...] = ()
    """What did not hold, and where."""


class UserOutcome(Struct, frozen=True, omit_defaults=True, gc=False):
    """How the simulated user left."""

    messages: tuple[str, ...]
    """What it said after the task, in order; the steps' prompts hold all that was answered."""
    content: bool | None = None
    """Whether it got what it wanted; None where the rollout ended first."""


class CallResult(Struct, frozen=True, omit_defaults=True, gc=False):
    """The observation that answers one call of a step."""

    call_id: str
    content: tuple[Content, ...]
    is_error: bool = False
    error_class: ErrorClass | None = None
    structured: Any = None
    seconds: float = 0.0
    """From the call to its result."""
    agent: str | None = None
    """Path of the sub-agent that answered, where one did."""
    queue: float = 0.0
    """The part of `seconds` in which a server was not yet given the call (`in_flight`)."""


class Step(Struct, frozen=True, tag_field="type", tag="step", omit_defaults=True, gc=False):
    """One model turn of one agent, with what its calls brought back."""

    rollout: str
    index: int
    """Order in which steps of the rollout were completed, from 0."""
    agent: str
    """Path in the tree: `root`, `root/researcher#2`."""
    turn: int
    """Turns of this agent before this one."""
    prompt: tuple[Message, ...]
    """Messages that came into the prompt since this agent's step before: at turn 0 the system
    prompt and the task; later what a simulated user said, if anything, because the step before
    holds its response and results."""
    response: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[CallResult, ...] = ()
    """In the order of `calls`."""
    reasoning: str | None = None
    finish_reason: FinishReason = "stop"
    model: str = ""
    usage: Usage = NO_USAGE
    timing: Timing = NO_TIMING
    tokens: TokenData | None = None
    signal: Signal | None = None
    """What came next says about it, where signals were asked for (docs/scoring.md)."""


class Started(Struct, frozen=True, tag_field="type", tag="started", omit_defaults=True, gc=False):
    rollout: str
    seq: int
    """Order within the rollout, from 0, without gaps."""
    at: float
    agent: str
    definition: str
    """Name of the agent's definition."""
    prompt: tuple[Message, ...]
    call_id: str | None = None
    """The parent's call that started this agent; None for the root."""


class ModelTurn(
    Struct, frozen=True, tag_field="type", tag="model_turn", omit_defaults=True, gc=False
):
    rollout: str
    seq: int
    at: float
    agent: str
    turn: int
    response: str
    calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    finish_reason: FinishReason = "stop"
    model: str = ""
    usage: Usage = NO_USAGE
    seconds: float = 0.0
    queue: float = 0.0
    tokens: TokenData | None = None


class Called(Struct, frozen=True, tag_field="type", tag="call", omit_defaults=True, gc=False):
    """Each call of a turn, as it is sent."""

    rollout: str
    seq: int
    at: float
    agent: str
    call: ToolCall


class Returned(Struct, frozen=True, tag_field="type", tag="result", omit_defaults=True, gc=False):
    rollout: str
    seq: int
    at: float
    agent: str
    result: CallResult


class UserSaid(Struct, frozen=True, tag_field="type", tag="user", omit_defaults=True, gc=False):
    """A simulated user's message, after an answer."""

    rollout: str
    seq: int
    at: float
    agent: str
    text: str
    """Empty where it has nothing more to say."""
    content: bool | None = None
    """With its last message: whether it got what it wanted."""


class LimitHit(Struct, frozen=True, tag_field="type", tag="limit", omit_defaults=True, gc=False):
    rollout: str
    seq: int
    at: float
    agent: str
    """The agent that could not go on."""
    limit: str
    """steps, tokens, seconds, depth or cost."""
    owner: str
    """The agent whose limit it was: this one or one above it."""
    bound: float


class Finished(Struct, frozen=True, tag_field="type", tag="finished", omit_defaults=True, gc=False):
    rollout: str
    seq: int
    at: float
    agent: str
    status: Status
    answer: str | None = None
    limit: str | None = None
    error: RolloutError | None = None
    usage: Usage = NO_USAGE
    timing: Timing = NO_TIMING


class Delta(Struct, frozen=True, tag_field="type", tag="delta", omit_defaults=True, gc=False):
    """A piece of a turn while the model is saying it. No step needs it: `ModelTurn` has the whole.
    Only for listeners to events, where the model streams."""

    rollout: str
    seq: int
    at: float
    agent: str
    turn: int
    text: str = ""
    reasoning: str = ""
    attempt: int = 0
    """A turn that broke off is said again from its beginning: the count of those before."""


class Progressed(
    Struct, frozen=True, tag_field="type", tag="progress", omit_defaults=True, gc=False
):
    """How far a tool is with a call, as its server tells. No step needs it. Only for listeners to
    events."""

    rollout: str
    seq: int
    at: float
    agent: str
    call_id: str
    progress: float
    total: float | None = None
    message: str | None = None


Event = (
    Started | ModelTurn | Called | Returned | UserSaid | LimitHit | Finished | Delta | Progressed
)


class Served(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who answers the calls of a tool."""

    server: str
    """As the agent names it."""
    by: Literal["live", "replayed", "simulated"] = "live"
    """live: an MCP server. replayed: one with recorded latency and errors in front of it.
    simulated: a world."""
    software: str = ""
    """What the server calls itself, and its version."""


class AgentRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """A definition as it took part in a rollout."""

    name: str
    model: str
    tools: Raw
    """JSON array of `ToolSpec`: what the model was offered."""
    served: dict[str, Served] = {}
    """Of the tools that are an MCP server's, by the name that the model sees. The others are
    sub-agents and functions."""


class Trajectory(
    Struct, frozen=True, tag_field="type", tag="trajectory", omit_defaults=True, gc=False
):
    """A whole rollout: one line."""

    schema: str
    id: str
    """Unique within the run: `task/repeat`, and `/attempt` from the second attempt on."""
    task: str
    input: str
    agent: str
    """Name of the root definition."""
    status: Status
    steps: tuple[Step, ...]
    answer: str | None = None
    limit: str | None = None
    """The limit that ended it: steps, tokens, seconds, depth or cost."""
    error: RolloutError | None = None
    reward: float | None = None
    usage: Usage = NO_USAGE
    timing: Timing = NO_TIMING
    """Sum over the steps. Agents that ran at the same time overlap, so it can pass `seconds`."""
    repeat: int = 0
    attempt: int = 0
    final: bool = True
    """False where the rollout failed and was tried again: its next attempt is another line."""
    group: str | None = None
    seed: int = 0
    started_at: float = 0.0
    seconds: float = 0.0
    """From admission to the end."""
    agents: tuple[AgentRecord, ...] = ()
    metadata: dict[str, Any] = {}
    score: Score | None = None
    """How `reward` came about, where the rollout was checked."""
    user: UserOutcome | None = None
    """How the simulated user left, where there was one."""
    unscored: str = ""
    """Why there is no score, where the rollout was to be checked."""
    notes: tuple[str, ...] = ()
    """What a run that was kept and gone on with did to it: resumed, or restarted and why."""
