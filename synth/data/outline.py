"""What measuring needs of one trajectory: the part of the work that no other trajectory changes."""

from itertools import pairwise

from msgspec import Struct

from nexau.synth.data.checks.facts import Context, Facts, Limits, ToolBook
from nexau.synth.data.features import Features, features_of
from nexau.synth.data.trace import Traced, trace
from nexau.trajectory import Served, Trajectory


class Outline(Struct, gc=False):
    task: str
    input: str
    repeat: int
    features: Features
    traced: Traced
    answered: list[str]
    """A name for each call: live, replayed, simulated, function, unstated; delegation, unanswered.
    """
    offered: list[str]
    """Tools of all agents but the sub-agents."""
    tools: list[str]
    """Names of the calls."""
    pairs: list[str]
    """Names of calls that follow each other in one agent's conversation, as `a>b`."""
    errors: list[str]
    """Classes of the calls that failed."""
    results: int
    """Calls that were answered, delegations aside."""
    times: list[tuple[str, float]]
    """Milliseconds of each call that succeeded, by tool."""


class Outliner:
    """Keeps what tools compile to between trajectories."""

    def __init__(self) -> None:
        self._book = ToolBook()
        self._limits = Limits()

    def of(self, trajectory: Trajectory) -> Outline:
        facts = Facts(trajectory, self._book, self._limits)
        made = Outline(
            trajectory.task,
            trajectory.input,
            trajectory.repeat,
            features_of(trajectory),
            trace(facts),
            [], [], [], [], [], 0, [],
        )  # fmt: skip
        served = {record.name: record.served for record in trajectory.agents}
        otherwise = "function" if any(served.values()) else "unstated"
        for context in facts.contexts.values():
            made.offered += [
                name for name, tool in (context.tools or {}).items() if not tool.delegates
            ]
            _calls(made, context, served.get(context.definition, {}), otherwise)
        return made


def _calls(made: Outline, context: Context, served: dict[str, Served], otherwise: str) -> None:
    names: list[str] = []
    for call in context.calls:
        if call.tool is not None and call.tool.delegates:
            made.answered.append("delegation")
            continue
        name = call.call.name
        names.append(name)
        result = call.result
        if result is None:
            made.answered.append("unanswered")
            continue
        made.answered.append(served[name].by if name in served else otherwise)
        made.results += 1
        if result.is_error:
            made.errors.append(result.error_class or "tool_error")
        elif result.seconds > 0:
            made.times.append((name, result.seconds * 1000))
    made.tools += names
    made.pairs += [f"{one}>{other}" for one, other in pairwise(names)]
