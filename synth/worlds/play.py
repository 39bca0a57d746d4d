"""Gold plans on a state, without a server: for whoever makes or checks tasks."""

from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import ToolMessage
from nexau.models.gold import GoldPlan, Unresolved, resolve, resolve_text
from nexau.synth.worlds.engine import Answer, call
from nexau.synth.worlds.state import State
from nexau.transports.protocol import Text


class PlayedCall(Struct, frozen=True):
    id: str
    name: str
    arguments: dict[str, Any]
    answer: Answer


class Played(Struct, frozen=True):
    """What became of a plan."""

    answer: str
    calls: tuple[PlayedCall, ...]
    """In order, those of sub-agents in the place of their call."""
    stuck: str = ""
    """Why it could not go on; empty where it did."""


def play(state: State, plan: Any) -> Played:
    """Calls what the plan calls, on `state`. A call with a `plan` of its own is a sub-agent, whose
    plan is played, and whose answer is the call's text.

    Raises msgspec.ValidationError for what is no plan.
    """
    given = plan if isinstance(plan, GoldPlan) else msgspec.convert(plan, GoldPlan)
    calls: list[PlayedCall] = []
    answer, stuck = _play(state, given, calls)
    return Played(answer, tuple(calls), stuck)


def _play(state: State, plan: GoldPlan, calls: list[PlayedCall]) -> tuple[str, str]:
    results: dict[str, ToolMessage] = {}
    try:
        for turn in plan.turns:
            brought: dict[str, ToolMessage] = {}
            for planned in turn:
                arguments = resolve(planned.arguments, results)
                if planned.plan is not None:
                    text, stuck = _play(state, planned.plan, calls)
                    if stuck:
                        return text, stuck
                    brought[planned.id] = ToolMessage(planned.id, (Text(text),))
                    continue
                made = call(state, planned.name, arguments)
                calls.append(PlayedCall(planned.id, planned.name, arguments, made))
                brought[planned.id] = message_of(planned.id, made)
            results |= brought
        return resolve_text(plan.answer, results), ""
    except Unresolved as error:
        return f"The plan cannot go on: {error}", str(error)


def message_of(call_id: str, answer: Answer) -> ToolMessage:
    """An answer as an agent would see it."""
    text = msgspec.json.encode(answer.body).decode()
    return ToolMessage(call_id, (Text(text),), structured=answer.body, is_error=answer.is_error)
