"""Recorded latency against replayed: how far apart, tool by tool."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.latency.distances import kolmogorov_smirnov, wasserstein
from nexau.latency.profiles import Level, Profile, ToolProfile, value_at
from nexau.trajectory import Step, Trajectory

MOST = 20_000
"""Values that stand for a recorded distribution."""


class Comparison(Struct, frozen=True):
    """One tool at one number of calls in flight."""

    tool: str
    in_flight: int
    """Of the recorded level that was compared."""
    recorded: int
    replayed: int
    """Calls behind each side."""
    recorded_ms: float
    replayed_ms: float
    """Medians, milliseconds."""
    d: float
    """Two-sample Kolmogorov-Smirnov."""
    wasserstein: float
    """Of the natural logarithms of milliseconds: 0.05 is some 5 percent."""


def compare_profiles(profile: Profile, other: Profile) -> list[Comparison]:
    """Every tool and level that both have."""
    made: list[Comparison] = []
    for tool in profile.tools:
        twin = other.tool(tool.name)
        levels = {level.in_flight: level for level in twin.levels} if twin is not None else {}
        for level in tool.levels:
            match = levels.get(level.in_flight)
            if level.ms and match is not None and match.ms:
                made.append(_compare(tool.name, level, sample_of(match)))
    return made


def compare_latencies(
    profile: Profile,
    latencies: Mapping[str, Sequence[float]],
    in_flight: int,
    only: str | None = None,
) -> list[Comparison]:
    """Every tool that both have, at the recorded level next to `in_flight`.

    `latencies` are milliseconds by the agent's name of the tool: the profile's, or that with a
    prefix. With `only`, all of them are held against that tool. Raises `DefinitionError` where the
    profile does not have it.
    """
    names = [tool.name for tool in profile.tools]
    if only is not None and only not in names:
        raise DefinitionError(f"the profile has no tool {only!r}{hint(only, names, 'it has')}")
    made: list[Comparison] = []
    for tool in profile.tools:
        if only not in (None, tool.name):
            continue
        level = _nearest(tool, in_flight)
        values = [
            value
            for name, ms in latencies.items()
            if only is not None or _is(name, tool, profile)
            for value in ms
        ]
        if level is not None and values:
            made.append(_compare(tool.name, level, values))
    return made


def sample_of(level: Level) -> list[float]:
    """As many values as calls were recorded, at even shares of the quantile function."""
    count = max(1, min(level.calls, MOST))
    return [value_at(level.ms, (index + 0.5) / count) for index in range(count)]


def latencies_of(lines: Iterable[bytes | str], where: str) -> dict[str, list[float]]:
    """Milliseconds of the calls that succeeded, by tool, of lines of trajectories or of steps.

    Other lines, as those of events, are passed over. Raises `DefinitionError` with the number of a
    line that is broken.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            steps = _steps(line)
        except msgspec.MsgspecError as error:
            wanted = "expected a trajectory or a step"
            raise DefinitionError(f"{where}:{number}: {wanted}: {error}") from None
        for step in steps:
            names = {call.id: call.name for call in step.calls}
            for result in step.results:
                if not result.is_error and result.agent is None and result.seconds > 0:
                    found[names.get(result.call_id, "")].append(result.seconds * 1000)
    return dict(found)


class _Kind(Struct):
    type: str


def _steps(line: bytes | str) -> tuple[Step, ...]:
    kind = msgspec.json.decode(line, type=_Kind).type
    if kind == "trajectory":
        return msgspec.json.decode(line, type=Trajectory).steps
    return (msgspec.json.decode(line, type=Step),) if kind == "step" else ()


def _is(name: str, tool: ToolProfile, profile: Profile) -> bool:
    if name == tool.name:
        return True
    return name.endswith(f"_{tool.name}") and profile.tool(name) is None


def _nearest(tool: ToolProfile, in_flight: int) -> Level | None:
    known = [level for level in tool.levels if level.ms]
    return min(known, key=lambda it: abs(math.log(it.in_flight / in_flight)), default=None)


def _compare(tool: str, level: Level, values: Sequence[float]) -> Comparison:
    recorded = sample_of(level)
    logs = [math.log(value) for value in recorded], [math.log(value) for value in values]
    return Comparison(
        tool,
        level.in_flight,
        level.calls,
        len(values),
        round(value_at(level.ms, 0.5), 4),
        round(value_at(sorted(values), 0.5), 4),
        round(kolmogorov_smirnov(recorded, values), 4),
        round(wasserstein(*logs), 4),
    )
