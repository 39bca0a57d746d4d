"""Early experience: at a state of the gold plan, what else was done there, and what it led to.

Rollouts of the style `explore` play the plan up to one state, do something else, and stop; all
repeats of a task depart at the same state. Beside the gold rollout of the task they give, for each
alternative, (state, action, next state), and the expert's own action there.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import Message, ToolCall
from nexau.trajectory import CallResult, Step, Trajectory

EXPLORES = "plan:explore"
GOLD = ("plan", "plan:gold")
EXTRA = "extra-"
"""Begins the ids of calls that the plan does not have; in a sub-agent, after `AGENT#N:`."""


class Experience(Struct, frozen=True, omit_defaults=True):
    """What one alternative action led to."""

    task: str
    rollout: str
    agent: str
    """Path of the agent that acted."""
    turn: int
    """Its turns before."""
    state: tuple[Step, ...]
    """The agent's steps before: the prompt of the first begins its conversation."""
    prompt: tuple[Message, ...]
    """What came into the prompt after them."""
    action: tuple[ToolCall, ...]
    next_state: tuple[CallResult, ...]
    """What the calls brought, in their order."""
    expert: tuple[ToolCall, ...] = ()
    """The calls of the gold rollout in this state; empty where it is not at hand."""
    expert_next: tuple[CallResult, ...] = ()


def experiences(rollouts: Iterable[Trajectory]) -> Iterator[Experience]:
    """Of all explored rollouts; the same alternative to one state is given once. Gold rollouts of
    the same tasks, wherever they stand among the others, give the expert's action.
    """
    explored: list[Trajectory] = []
    gold: dict[str, dict[tuple[str, int], Step]] = {}
    for each in rollouts:
        if any(step.model == EXPLORES for step in each.steps):
            explored.append(each)
        elif each.steps and each.steps[0].model in GOLD:
            gold.setdefault(each.task, {(step.agent, step.turn): step for step in each.steps})
    seen: set[tuple[str, str, int, bytes]] = set()
    for each in explored:
        found = departed(each, gold.get(each.task, {}))
        if found is None:
            continue
        acts = [[call.name, call.arguments] for call in found.action]
        key = (each.task, found.agent, found.turn, msgspec.json.encode(acts, order="sorted"))
        if key not in seen:
            seen.add(key)
            yield found


def departed(explored: Trajectory, gold: Mapping[tuple[str, int], Step]) -> Experience | None:
    """Where a rollout departs from the plan; None where it does not. `gold` has the steps of the
    gold rollout by agent and turn.
    """
    for step in explored.steps:
        if not step.calls or not _is_extra(step):
            continue
        before = [s for s in explored.steps if s.agent == step.agent and s.turn < step.turn]
        expert: Any = gold.get((step.agent, step.turn))
        return Experience(
            explored.task,
            explored.id,
            step.agent,
            step.turn,
            tuple(before),
            step.prompt,
            step.calls,
            step.results,
            expert.calls if expert is not None else (),
            expert.results if expert is not None else (),
        )
    return None


def _is_extra(step: Step) -> bool:
    return step.calls[0].id.rpartition(":")[2].startswith(EXTRA)
