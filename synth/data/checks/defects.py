"""Defects of typed facts: calls, results, order, tokens, the tree of agents."""

import random
from typing import Any

import msgspec
from msgspec.structs import replace

from nexau.models.base import SystemMessage, TokenData, UserMessage
from nexau.synth.data.checks.facts import Made, Tool
from nexau.synth.data.checks.mutating import (
    copied,
    facts_of,
    final_step,
    good_calls,
    inserted,
    with_call,
    with_result,
    with_step,
)
from nexau.trajectory import CallResult, Trajectory
from nexau.transports.protocol import Text, Usage


def unknown_tool(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = good_calls(trajectory)
    if not calls:
        return None
    made = rng.choice(calls)
    name = f"{made.call.name}_{rng.choice(['v2', 'all', 'now', 'details'])}"
    return with_call(trajectory, made, replace(made.call, name=name))


def schema(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = [m for m in good_calls(trajectory) if _broken(m, rng) is not None]
    if not calls:
        return None
    made = rng.choice(calls)
    return with_call(trajectory, made, replace(made.call, arguments=_broken(made, rng)))


def _broken(made: Made, rng: random.Random) -> dict[str, Any] | None:
    """A required argument left out, or one of another type."""
    arguments = dict(made.call.arguments or {})
    tool = made.tool
    if tool is None or tool.validator is None or not arguments:
        return None
    name = rng.choice(sorted(arguments))
    for value in (_MISSING, {"value": arguments[name]}, [arguments[name]]):
        changed = {k: v for k, v in arguments.items() if k != name}
        if value is not _MISSING:
            changed[name] = value
        if tool.validator.validate(changed) is not None:
            return changed
    return None


_MISSING = object()


def unparseable(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = good_calls(trajectory)
    if not calls:
        return None
    made = rng.choice(calls)
    if rng.random() < 0.5:
        text = msgspec.json.encode(made.call.arguments).decode()[:-1]
        return with_call(trajectory, made, replace(made.call, arguments=None, malformed=text))
    leaked = f'<tool_call>\n{{"name": "{made.call.name}", "arguments": {{\n</tool_call>'
    step = final_step(trajectory, made.step.agent)
    return with_step(trajectory, replace(step, response=f"{step.response}\n{leaked}"))


def pairing(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = good_calls(trajectory)
    if not calls:
        return None
    made = rng.choice(calls)
    assert made.result is not None
    kind = rng.randrange(3)
    step = made.step
    if kind == 0:
        results = tuple(each for each in step.results if each is not made.result)
    elif kind == 1:
        results = (*step.results, replace(made.result, call_id="call_nobody_made"))
    else:
        results = (*step.results, made.result)
    return with_step(trajectory, replace(step, results=results))


def exact_loop(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = [m for m in good_calls(trajectory) if m.tool is not None and not m.tool.writes]
    if not calls:
        return None
    made = rng.choice(calls)
    return inserted(trajectory, made.step, [copied(made, n) for n in range(3)])


def cycle(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    by_agent: dict[str, dict[tuple[str, bytes], Made]] = {}
    for context, made in facts_of(trajectory).calls():
        if made.result is not None:
            by_agent.setdefault(context.path, {})[made.key] = made
    agents = [agent for agent, found in by_agent.items() if len(found) >= 2]
    if not agents:
        return None
    agent = rng.choice(sorted(agents))
    found = list(by_agent[agent].values())
    period = rng.randint(2, min(4, len(found)))
    chosen = rng.sample(found, period)
    steps = [copied(each, n * period + i) for n in range(3) for i, each in enumerate(chosen)]
    return inserted(trajectory, final_step(trajectory, agent), steps)


def blind_retry(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = good_calls(trajectory)
    if not calls:
        return None
    made = rng.choice(calls)
    first = copied(made, 0)
    failed = CallResult(first.calls[0].id, (Text("no such record"),), True, "tool_error")
    second = copied(made, 1)
    again = replace(failed, call_id=second.calls[0].id)
    steps = [replace(first, results=(failed,)), replace(second, results=(again,))]
    return inserted(trajectory, made.step, steps)


def context_overflow(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    step = rng.choice(trajectory.steps)
    if rng.random() < 0.5:
        return with_step(trajectory, replace(step, usage=Usage(rng.randint(140_000, 900_000), 10)))
    tokens = TokenData(tuple(range(131_100)), (1, 2, 3))
    return with_step(trajectory, replace(step, tokens=tokens))


def ungrounded_argument(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    """An identifier of the right form that nobody has named."""
    places = [
        (made, name)
        for made in good_calls(trajectory)
        if made.tool is not None
        for name in made.tool.identifiers
        if name in (made.call.arguments or {}) and not _may_be_new(made.tool, name)
    ]
    if not places:
        return None
    made, name = rng.choice(places)
    arguments = dict(made.call.arguments or {})
    arguments[name] = _other(arguments[name], rng)
    return with_call(trajectory, made, replace(made.call, arguments=arguments))


def _may_be_new(tool: Tool, name: str) -> bool:
    return tool.writes and name.lower().endswith(("path", "filename"))


def _other(value: Any, rng: random.Random) -> Any:
    """Of the same form, with other digits, or where there are none, other letters."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"x{rng.randint(10_000_000, 99_999_999)}"
    if isinstance(value, int):
        return rng.randint(70_000_000, 99_999_999)
    if any(c.isdigit() for c in value):
        return "".join(str(rng.randint(0, 9)) if c.isdigit() else c for c in value) + "77"
    return f"zq{rng.randint(1000, 9999)}-{value}"


def delegation(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    calls = good_calls(trajectory, delegates=True)
    calls = [m for m in calls if m.result is not None and m.result.agent is not None]
    if not calls:
        return None
    made = rng.choice(calls)
    assert made.result is not None
    child = str(made.result.agent)
    kind = rng.randrange(3)
    if kind == 0:  # the parent's result does not come from the sub-agent
        return with_result(trajectory, made, replace(made.result, agent=None))
    if kind == 1:  # its steps are gone
        steps = [s for s in trajectory.steps if not (s.agent + "/").startswith(child + "/")]
        turned = tuple(replace(s, index=index) for index, s in enumerate(steps))
        return replace(trajectory, steps=turned)
    first = next(s for s in trajectory.steps if s.agent == child and s.turn == 0)
    parent = next(s for s in trajectory.steps if s.agent == made.step.agent and s.turn == 0)
    shown = "\n".join(
        m.content for m in parent.prompt if isinstance(m, SystemMessage | UserMessage)
    )
    if len(shown) < 40:
        return None
    prompt = tuple(
        UserMessage(f"{m.content}\n{shown}") if isinstance(m, UserMessage) else m
        for m in first.prompt
    )
    return with_step(trajectory, replace(first, prompt=prompt))


def final_state(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    return replace(trajectory, reward=0.0)


def time_backwards(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    step = rng.choice(trajectory.steps)
    if rng.random() < 0.5 or len(trajectory.steps) < 2:
        timing = replace(step.timing, model=-rng.uniform(0.1, 5))
        return with_step(trajectory, replace(step, timing=timing))
    return replace(trajectory, steps=trajectory.steps[::-1])
