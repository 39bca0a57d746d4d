"""What a conversation needs of a trajectory, and no more: quicker to decode than the whole.

The same lines, read by types that pass over timing, usage and scores; structured results stay
undecoded until somebody asks. Whatever takes a trajectory for its conversations takes these.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import Message, ToolCall
from nexau.trajectory import CallResult, Status, Step, Trajectory
from nexau.transports.protocol import Content


class SpokenResult(Struct, frozen=True, gc=False, rename={"raw": "structured"}):
    call_id: str
    content: tuple[Content, ...]
    is_error: bool = False
    raw: Raw = Raw(b"null")
    agent: str | None = None

    @property
    def structured(self) -> Any:
        return msgspec.json.decode(self.raw)


class SpokenStep(Struct, frozen=True, tag_field="type", tag="step", gc=False):
    agent: str
    turn: int
    prompt: tuple[Message, ...]
    response: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[SpokenResult, ...] = ()
    reasoning: str | None = None


class SpokenAgent(Struct, frozen=True, gc=False):
    name: str
    tools: Raw


class Spoken(Struct, frozen=True, tag_field="type", tag="trajectory", gc=False):
    schema: str
    id: str
    task: str
    input: str
    agent: str
    status: Status
    steps: tuple[SpokenStep, ...]
    reward: float | None = None
    final: bool = True
    agents: tuple[SpokenAgent, ...] = ()


AnyTrajectory = Trajectory | Spoken
AnyStep = Step | SpokenStep
AnyResult = CallResult | SpokenResult
