"""Measuring a server's tools into a profile."""

import os
import platform
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any, Protocol

import anyio
import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.latency.profiles import (
    FEW_POINTS,
    Failures,
    Level,
    ToolProfile,
    growth,
    quantiles,
)
from nexau.latency.replayed import clock
from nexau.transports.protocol import ErrorClass, Result, Text, ToolSpec

WARM_UP = 5
"""Calls of each tool before the first that counts."""


class Callee(Protocol):
    """What of a `Connection` is measured."""

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        timeout: float | None = None,
    ) -> Result: ...


class Sample(Struct, frozen=True):
    """One call to make, a line of a file of calls."""

    tool: str
    arguments: dict[str, Any] = {}
    server: str | None = None
    """Where several are measured: the one meant. None is any that has the tool."""


class Observed(Struct, frozen=True, gc=False):
    """One call made."""

    seconds: float
    size: int
    error_class: ErrorClass | None
    text: str


class Plan(Struct, frozen=True):
    """How much to measure."""

    calls: int = 200
    """Of each tool at each level."""
    in_flight: tuple[int, ...] = (1, 4, 16)
    timeout: float = 60.0
    """Seconds for one call."""


Told = Callable[[str, int, int], None]
"""Hears of progress: the tool, its calls in flight, calls done."""


async def measure(
    callee: Callee,
    samples: Mapping[str, Sequence[Sample]],
    plan: Plan,
    told: Told = lambda *_: None,
) -> tuple[ToolProfile, ...]:
    """Calls each tool `plan.calls` times at each level, with its samples in turn.

    One tool and one level at a time: nothing else is in flight.
    """
    made: list[ToolProfile] = []
    for tool, chosen in samples.items():
        await _run(callee, chosen, min(WARM_UP, plan.calls), 1, plan.timeout)
        observed: list[Observed] = []
        levels: list[Level] = []
        for in_flight in sorted(set(plan.in_flight)):
            told(tool, in_flight, 0)
            seen, seconds = await _run(callee, chosen, plan.calls, in_flight, plan.timeout)
            observed += seen
            levels.append(_level(in_flight, seen, seconds))
            told(tool, in_flight, len(seen))
        sizes = quantiles([it.size for it in observed if it.error_class is None], FEW_POINTS)
        bytes_ = tuple(int(size) for size in sizes)
        made.append(ToolProfile(tool, len(observed), tuple(levels), bytes_, growth(levels)))
    return tuple(made)


async def _run(
    callee: Callee, samples: Sequence[Sample], calls: int, in_flight: int, timeout: float
) -> tuple[list[Observed], float]:
    """`calls` calls, always `in_flight` of them at once, and the seconds they took together."""
    now = clock()
    todo: Iterator[tuple[int, Sample]] = zip(range(calls), cycle(samples), strict=False)
    seen: list[Observed] = []
    ids = count()

    async def work() -> None:
        for _, sample in todo:
            began = now()
            result = await callee.call(
                sample.tool, sample.arguments, call_id=f"record-{next(ids)}", timeout=timeout
            )
            seen.append(_observe(result, max(now() - began, 1e-9)))

    began = now()
    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(work)
    return seen, now() - began


def _observe(result: Result, seconds: float) -> Observed:
    size = len(msgspec.json.encode(result.content))
    if not result.is_error:
        return Observed(seconds, size, None, "")
    text = next((part.text for part in result.content if isinstance(part, Text)), "")
    return Observed(seconds, size, result.error_class or "tool_error", text[:200])


def _level(in_flight: int, seen: Sequence[Observed], seconds: float) -> Level:
    by_class: dict[ErrorClass | None, list[Observed]] = defaultdict(list)
    for each in seen:
        by_class[each.error_class].append(each)
    good = by_class.pop(None, [])
    failures = tuple(
        Failures(
            name or "tool_error",
            round(len(those) / len(seen), 5),
            quantiles([each.seconds * 1000 for each in those], FEW_POINTS),
            those[0].text,
        )
        for name, those in by_class.items()
    )
    rate = round(len(seen) / max(seconds, 1e-9), 3)
    ms = quantiles([each.seconds * 1000 for each in good])
    return Level(in_flight, len(seen), rate, ms, failures)


def read_samples(text: str, where: str) -> list[Sample]:
    """Calls from JSON lines: `{"tool": ..., "arguments": {...}}`, or trajectories or steps.

    Raises `DefinitionError` with the line's number.
    """
    samples: list[Sample] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line, type=dict[str, Any])
            kind = value.get("type")
            if kind == "trajectory":
                samples += [sample for step in value["steps"] for sample in _of_step(step)]
            elif kind == "step":
                samples += _of_step(value)
            elif kind is None:
                samples.append(msgspec.convert(value, Sample))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            wanted = 'expected {"tool": ..., "arguments": {...}}, a trajectory or a step'
            raise DefinitionError(f"{where}:{number}: {wanted}: {error}") from None
    return samples


def _of_step(step: dict[str, Any]) -> list[Sample]:
    return [
        Sample(call["name"], call["arguments"])
        for call in step.get("calls", ())
        if isinstance(call.get("arguments"), dict)
    ]


def invent(spec: ToolSpec) -> Sample | None:
    """A call with arguments made up from the schema; None unless the tool says that it only reads.

    Defaults, examples and first choices where the schema has them, the least values elsewhere.
    """
    if spec.annotations.get("readOnlyHint") is not True:
        return None
    properties = spec.parameters.get("properties", {})
    names = spec.parameters.get("required", ())
    return Sample(spec.name, {name: _value(properties.get(name, {})) for name in names})


def _value(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return "text"
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _value(schema[key][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        inner = schema.get("properties", {})
        return {name: _value(inner.get(name, {})) for name in schema.get("required", ())}
    if kind == "array":
        return [_value(schema.get("items", {}))] * schema.get("minItems", 0)
    made: dict[str, Any] = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1),
                            "boolean": False, "null": None}  # fmt: skip
    return made.get(kind, "text")


def choose(
    specs: Sequence[ToolSpec], samples: Sequence[Sample] | None, server: str
) -> dict[str, list[Sample]]:
    """The calls for each of a server's tools; made up where `samples` is None.

    Calls of tools that the server does not have are left out, so that one file, or the
    trajectories of an agent, serve several servers. An agent's prefix is taken off.
    """
    names = {spec.name for spec in specs}
    chosen: dict[str, list[Sample]] = defaultdict(list)
    if samples is None:
        invented = [invent(spec) for spec in specs]
        samples = [sample for sample in invented if sample is not None]
    for sample in samples:
        if sample.server in (None, server):
            tool = _own_name(sample.tool, names)
            if tool is not None:
                chosen[tool].append(msgspec.structs.replace(sample, tool=tool))
    return dict(chosen)


def _own_name(called: str, names: Collection[str]) -> str | None:
    """The server's name of a tool; trajectories have the agent's, which may have a prefix."""
    if called in names:
        return called
    return max((name for name in names if called.endswith(f"_{name}")), key=len, default=None)


def machine() -> str:
    """System, processor architecture and Python; no name that tells one machine from another."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {python}"


def cores() -> int:
    return os.cpu_count() or 1


def load() -> float:
    """The load average over a minute; 0.0 where the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def today() -> str:
    return datetime.now(UTC).date().isoformat()
