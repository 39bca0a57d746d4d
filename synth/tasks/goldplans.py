"""Drafts as gold plans: what the `plan` policy plays."""

from collections.abc import Collection, Sequence
from typing import Any

from nexau.synth.tasks.building import needed_for, turns
from nexau.synth.tasks.structs import Draft, Found, Step


def gold_plan(draft: Draft, answer: str, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Calls that do not wait for each other side by side, writes one after the other."""
    made = [[call_of(step) for step in turn if step.id not in leave_out] for turn in turns(draft)]
    return {"turns": [turn for turn in made if turn], "answer": answer}


def conversation(draft: Draft, answers: Sequence[str]) -> dict[str, Any]:
    """A plan for each goal, one after the other, as a user reveals them."""
    plans: list[dict[str, Any]] = []
    done: set[str] = set()
    for goal, answer in zip(draft.goals, answers, strict=True):
        needed = needed_for(draft, [goal]) - done
        part = Draft([step for step in draft.steps if step.id in needed], [goal])
        plans.append(gold_plan(part, answer))
        done |= needed
    first, *then = plans
    return first | ({"then": then} if then else {})


def call_of(step: Step) -> dict[str, Any]:
    arguments = {
        name: {"$result": argument.call, "pointer": argument.pointer}
        if isinstance(argument, Found)
        else argument.value
        for name, argument in step.arguments.items()
    }
    return {"id": step.id, "name": step.tool.shown, "arguments": arguments}
