"""Profiles of MCP servers: how long each tool takes, how large its results are, how it fails.

Written by `nexau mcp record`, replayed by `nexau.latency.replayed`. A distribution is kept as its
quantile function: values at equal steps of the share of calls, from the smallest (0) to the
largest (1).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.paths import is_file, missing
from nexau.files.problems import display
from nexau.transports.protocol import ErrorClass

SCHEMA = "nexau-profile/1"
"""Readers of version 1 accept every minor addition."""

POINTS = 201
"""Of a latency distribution: half a percent of the calls lies between two."""
FEW_POINTS = 21
MAX_BYTES = 8_000_000


class Failures(Struct, frozen=True):
    """One class of errors."""

    error_class: ErrorClass
    rate: float
    """Share of the calls, 0 to 1."""
    ms: tuple[float, ...]
    """Quantiles of their latency, as in `Level`."""
    text: str = ""
    """What one of them said."""


class Level(Struct, frozen=True):
    """A tool with a number of calls in flight, held constant."""

    in_flight: int
    calls: int
    per_second: float
    """Calls that were answered, the failed ones too."""
    ms: tuple[float, ...]
    """Quantiles of the latency of calls that succeeded, in milliseconds, at equal steps from the
    smallest to the largest; empty where none did."""
    failures: tuple[Failures, ...] = ()


class ToolProfile(Struct, frozen=True):
    name: str
    calls: int
    levels: tuple[Level, ...]
    """By calls in flight, ascending."""
    bytes: tuple[int, ...] = ()
    """Quantiles of the size of results, as JSON, in bytes."""
    serializes: float = 0.0
    """How the median grows with calls in flight at the two highest levels: 0 not at all, 1 in
    proportion, as where a server takes one call at a time."""


class Taken(Struct, frozen=True):
    """How a profile was measured."""

    date: str
    server: str
    """As it was named on the command line."""
    name: str
    """What the server calls itself."""
    version: str
    protocol: str
    """The MCP revision agreed on."""
    transport: str
    """stdio or http."""
    start_seconds: float
    """From the launch to the list of tools."""
    machine: str
    cores: int
    load: tuple[float, ...]
    """The machine's load average over a minute, before and after."""
    nexau: str
    calls: str
    """Where the calls came from."""
    note: str = ""


class Profile(Struct, frozen=True):
    """A server as it was measured: one file."""

    schema: str
    taken: Taken
    tools: tuple[ToolProfile, ...]

    def tool(self, name: str) -> ToolProfile | None:
        return next((tool for tool in self.tools if tool.name == name), None)


def quantiles(values: Sequence[float], points: int = POINTS) -> tuple[float, ...]:
    """The quantile function of a sample, four digits each; empty for an empty one."""
    if not values:
        return ()
    ordered = sorted(values)
    return tuple(_short(value_at(ordered, index / (points - 1))) for index in range(points))


def value_at(ordered: Sequence[float], share: float) -> float:
    """Linear between neighbours; `ordered` ascends and has a value."""
    place = share * (len(ordered) - 1)
    low = int(place)
    if low + 1 >= len(ordered):
        return ordered[-1]
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])


def growth(levels: Sequence[Level]) -> float:
    """`ToolProfile.serializes`; 0 where fewer than two levels have a latency."""
    known = [level for level in levels if level.ms]
    if len(known) < 2:
        return 0.0
    below, top = known[-2:]
    ratio = value_at(top.ms, 0.5) / max(value_at(below.ms, 0.5), 1e-9)
    if ratio <= 1:
        return 0.0
    return _short(min(1.0, math.log(ratio) / math.log(top.in_flight / below.in_flight)))


def read_profile(path: Path) -> Profile:
    """Raises `DefinitionError`, which names the file and the place in it."""
    where = display(path)
    if not is_file(path):
        raise DefinitionError(missing(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DefinitionError(f"{where}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise DefinitionError(f"{where} has more than {MAX_BYTES:,} bytes")
    decode: Any = msgspec.json.decode if path.suffix == ".json" else msgspec.yaml.decode
    try:
        profile: Profile = decode(data, type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError(f"{where}: no latency profile: {error}") from None
    problem = _problem(profile)
    if problem is not None:
        raise DefinitionError(f"{where}: {problem}")
    return profile


def write_profile(path: Path, profile: Profile) -> None:
    """As JSON where the name ends in .json, else as YAML. Raises OSError."""
    if path.suffix == ".json":
        path.write_bytes(msgspec.json.format(msgspec.json.encode(profile)) + b"\n")
        return
    text = yaml.safe_dump(
        msgspec.to_builtins(profile), sort_keys=False, default_flow_style=None, width=100
    )
    path.write_text(f"# Written by nexau mcp record; see docs/latency.md.\n{text}", "utf-8")


def _problem(profile: Profile) -> str | None:
    """What a profile must keep to beyond its types."""
    if profile.schema.partition(".")[0] != SCHEMA:
        return f"schema: expected {SCHEMA}, got {profile.schema!r}"
    if not profile.tools:
        return "tools: it has none"
    for tool in profile.tools:
        steps = [level.in_flight for level in tool.levels]
        if not steps or steps[0] < 1 or any(b <= a for a, b in pairwise(steps)):
            return f"{tool.name}: levels: in_flight must ascend from 1 or more"
        for level in tool.levels:
            problem = _problem_of(level)
            if problem is not None:
                return f"{tool.name}: at {level.in_flight} in flight: {problem}"
    return None


def _problem_of(level: Level) -> str | None:
    for ms in (level.ms, *(each.ms for each in level.failures)):
        if not all(math.isfinite(value) and value > 0 for value in ms):
            return "ms: expected numbers greater than 0"
        if any(b < a for a, b in pairwise(ms)):
            return "ms: quantiles must not descend"
    rates = [each.rate for each in level.failures]
    if any(not 0 <= rate <= 1 for rate in rates) or sum(rates) > 1.001:
        return "failures: the rates are shares of the calls"
    return None


def _short(value: float) -> float:
    return float(f"{value:.4g}")
