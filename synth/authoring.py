"""Things that a model writes: asked for, checked, and sent back with what is wrong.

The author is an agent of this runtime and every attempt a rollout, so that limits, retries, health
and recording are those of any other, and its trajectories can be kept.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import Agent, ModelConfig, Prompt, Task
from nexau.files.problems import cut
from nexau.models.base import Model
from nexau.runtime import Runtime
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Limits

REPAIRS = 3
MAX_TOLD = 20
"""Problems that an author is told of at once."""
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_BRACE = re.compile(r"\{(?=[{%#])")

Check = Callable[[Any], list[str]]
"""What is wrong with an answer's JSON object, for the author to mend; empty for a good one."""


class Written(Struct, frozen=True):
    """What came of it: `value` is None where no attempt was good, and `problems` say why."""

    value: Any
    repairs: int
    problems: tuple[str, ...]
    trajectories: tuple[Trajectory, ...]
    reached: bool = True
    """Whether the model answered at all."""


def author(model: ModelConfig | Model, instructions: str) -> Agent:
    """An agent without tools that writes one answer."""
    prompt = Prompt(_BRACE.sub("{{ '{' }}", instructions))
    return Agent("author", model, system_prompt=prompt, limits=Limits(steps=1))


async def write(
    runtime: Runtime,
    agent: Agent,
    request: str,
    check: Check,
    *,
    name: str,
    seed: int = 0,
    repairs: int = REPAIRS,
) -> Written:
    """Asks for a JSON object until one passes. `name` and the attempt are the task's id."""
    asked, kept = request, []
    problems: list[str] = []
    reached = False
    for attempt in range(repairs + 1):
        task = Task(asked, f"{name}/{attempt}", metadata={"stage": name, "attempt": attempt})
        done = await runtime.run(agent, task, seed=seed)
        kept.append(done)
        answer = done.answer or (done.steps[-1].response if done.steps else "")
        reached = reached or bool(done.steps)
        value, problems = _read(done, answer)
        if not problems:
            problems = check(value)[:MAX_TOLD]
        if not problems:
            return Written(value, attempt, (), tuple(kept))
        asked = _again(request, answer, problems)
    return Written(None, repairs, tuple(problems), tuple(kept), reached)


def _read(done: Trajectory, answer: str) -> tuple[Any, list[str]]:
    if done.error is not None:
        return None, [f"the model failed: {cut(done.error.message, 300)}"]
    if done.steps and done.steps[-1].finish_reason == "length":
        return None, ["the answer was cut off before its end: write less"]
    text = _object(answer)
    if text is None:
        return None, ["the answer holds no JSON object: write the object and nothing else"]
    try:
        return msgspec.json.decode(text), []
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return None, [f"the answer is not valid JSON: {error}"]


def _object(answer: str) -> str | None:
    """From the first brace to the last, in a fence where there is one."""
    fenced = _FENCE.search(answer)
    text = fenced[1] if fenced else answer
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else None


def _again(request: str, answer: str, problems: list[str]) -> str:
    listed = "\n".join(f"- {problem}" for problem in problems)
    last = f"\n\nYour last answer was:\n{cut(answer, 20_000)}" if answer.strip() else ""
    return f"{request}{last}\n\nIt was refused:\n{listed}\n\nWrite the whole object anew."
