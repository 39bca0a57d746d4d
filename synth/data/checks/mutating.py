"""Trajectories with one thing changed: what mutations are made of."""

import random
from collections.abc import Callable

from msgspec.structs import replace

from nexau.models.base import ToolCall, UserMessage
from nexau.synth.data.checks.facts import Facts, Limits, Made, ToolBook
from nexau.trajectory import CallResult, Step, Trajectory

Mutation = Callable[[Trajectory, random.Random], Trajectory | None]

_book = ToolBook()
_limits = Limits()


def facts_of(trajectory: Trajectory) -> Facts:
    return Facts(trajectory, _book, _limits)


def with_step(trajectory: Trajectory, step: Step) -> Trajectory:
    """The step of the same index is replaced."""
    steps = tuple(step if each.index == step.index else each for each in trajectory.steps)
    return replace(trajectory, steps=steps)


def with_call(trajectory: Trajectory, made: Made, call: ToolCall) -> Trajectory:
    calls = tuple(call if each is made.call else each for each in made.step.calls)
    return with_step(trajectory, replace(made.step, calls=calls))


def with_result(trajectory: Trajectory, made: Made, result: CallResult) -> Trajectory:
    results = tuple(result if each is made.result else each for each in made.step.results)
    return with_step(trajectory, replace(made.step, results=results))


def with_answer(trajectory: Trajectory, answer: str) -> Trajectory:
    last = max((s for s in trajectory.steps if s.agent == "root"), key=lambda s: s.turn)
    return replace(with_step(trajectory, replace(last, response=answer)), answer=answer)


def inserted(trajectory: Trajectory, before: Step, new: list[Step]) -> Trajectory:
    """Steps of an agent before one of its own; indexes and turns are counted anew."""
    steps: list[Step] = []
    for step in trajectory.steps:
        if step is before:
            steps += new
        steps.append(step)
    turns: dict[str, int] = {}
    made: list[Step] = []
    for index, step in enumerate(steps):
        turn = turns.get(step.agent, 0)
        turns[step.agent] = turn + 1
        made.append(replace(step, index=index, turn=turn))
    return replace(trajectory, steps=tuple(made))


def good_calls(trajectory: Trajectory, *, delegates: bool = False) -> list[Made]:
    """Calls that succeeded, of tools that are known."""
    return [
        made
        for _, made in facts_of(trajectory).calls()
        if made.tool is not None
        and made.tool.delegates == delegates
        and made.call.arguments is not None
        and made.result is not None
        and not made.result.is_error
    ]


def final_step(trajectory: Trajectory, agent: str) -> Step:
    return max((s for s in trajectory.steps if s.agent == agent), key=lambda s: s.turn)


def copied(made: Made, number: int) -> Step:
    """A step that makes the call again, under another id, with the same result."""
    identity = f"{made.call.id}~{number}"
    assert made.result is not None
    return replace(
        made.step,
        prompt=(),
        response="",
        calls=(replace(made.call, id=identity),),
        results=(replace(made.result, call_id=identity),),
        finish_reason="tool_calls",
    )


def in_argument(
    trajectory: Trajectory, rng: random.Random, text: str, *, writes: bool | None = None
) -> Trajectory | None:
    """A text argument of a call that succeeded says `text` instead."""
    places = [
        (made, name)
        for made in good_calls(trajectory)
        for name, value in (made.call.arguments or {}).items()
        if isinstance(value, str)
        and (writes is None or (made.tool is not None and made.tool.writes == writes))
    ]
    if not places:
        return None
    made, name = rng.choice(places)
    arguments = {**(made.call.arguments or {}), name: text}
    return with_call(trajectory, made, replace(made.call, arguments=arguments))


def asked(trajectory: Trajectory, text: str) -> Trajectory:
    """The user said something else."""
    first = next(s for s in trajectory.steps if s.agent == "root" and s.turn == 0)
    prompt = tuple(
        UserMessage(text) if isinstance(message, UserMessage) else message
        for message in first.prompt
    )
    return replace(with_step(trajectory, replace(first, prompt=prompt)), input=text)
