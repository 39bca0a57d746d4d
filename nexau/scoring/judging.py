"""The seam at which a rollout is scored: after its end, before its sessions are given back."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from nexau.actors import PoolRef
from nexau.definitions.values import ModelConfig, Server, Task
from nexau.models.base import Model
from nexau.trajectory import Finished, Score, Step, UserOutcome
from nexau.transports.connection import Connection

JUDGE_SECONDS = 30.0
"""For which the end of a rollout waits for its score."""


class Held(Struct, frozen=True):
    """A server as the rollout leaves it."""

    config: Server
    connection: Connection | None
    """Live, for reading what the rollout left there; None where the session was lost."""


class Ended(Struct, frozen=True):
    """A rollout that has ended, as a judge sees it."""

    task: Task
    finished: Finished
    steps: tuple[Step, ...]
    user: UserOutcome | None
    servers: Mapping[str, Held]
    """The root agent's servers and those of all below it, by name."""


class Grading(Struct, frozen=True):
    """What a run does with a rollout besides running it."""

    judge: "Judge | None" = None
    """Scores it; None: no score."""
    signals: bool = False
    """Whether each step gets a next-state signal."""
    judge_model: PoolRef | None = None
    """Votes on the steps of which rules do not tell."""
    user_model: PoolRef | None = None
    """Plays the users of tasks that have a goal and no script."""


UNGRADED = Grading()


class Graders(Struct, frozen=True):
    """As `Grading`, with models that no runtime has opened."""

    judge: "Judge | None" = None
    signals: bool = False
    judge_model: "ModelConfig | Model | None" = None
    user_model: "ModelConfig | Model | None" = None


class Judge(Protocol):
    """Scores rollouts. One object serves many at once."""

    async def judge(self, ended: Ended) -> Score | None:
        """The score; None for a task that has nothing to check.

        What it raises is a fault of the judge: the rollout is then not scored, and a note says why.
        """
        ...


def premature(ended: Ended) -> bool:
    """Whether the rollout ended before the agent said that it was done."""
    return ended.finished.status != "completed"


def score_of(ended: Ended, components: Mapping[str, float], notes: tuple[str, ...]) -> Score:
    """The product of the components; a user who left unhappy is one of them. 0 where the rollout
    ended before its time. (The reward of tau2-bench.)
    """
    parts = dict(components)
    if ended.user is not None and ended.task.user is not None:
        parts["user"] = float(ended.user.content is True)
    reward = 1.0
    for value in parts.values():
        reward *= value
    if premature(ended):
        reward = 0.0
        notes = (*notes, f"the rollout ended early: {ended.finished.status}")
    return Score(reward, parts, notes)
