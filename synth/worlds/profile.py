"""Latency and errors of worlds as a latency profile (docs/latency.md).

`nexau.latency.replayed` plays it.

A distribution becomes its quantile function, as a recorded one is kept.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.latency.profiles import (
    POINTS,
    SCHEMA,
    Failures,
    Level,
    Profile,
    Taken,
    ToolProfile,
    read_profile,
)
from nexau.synth.worlds.compiled import Tool
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.structs import ErrorsForm, LatencyForm, ProfileForm

_LEAST = 0.001
"""Milliseconds: a profile knows no zero."""
_SHARES = [min(max(i / (POINTS - 1), 0.001), 0.999) for i in range(POINTS)]
_TAKEN = Taken("", "world", "world", "", "", "", 0.0, "", 0, (), "", "", "a distribution")


def compile_profile(
    context: Context, form: ProfileForm, tools: Mapping[str, Tool], base: Path | None
) -> Profile | None:
    """None where calls take what they take."""
    if form.recorded is not None:
        return _recorded(context, form, base)
    for name in form.tools:
        if name not in tools:
            mend = hint(name, tools, "there are")
            context.wrong(("profile", "tools", name), f"no tool {name!r}{mend}")
    made: list[ToolProfile] = []
    common: Trail = ("profile", "latency")
    for name in tools:
        own = form.tools.get(name)
        latency = form.latency
        place: Trail = common
        if own is not None and own.latency is not None:
            latency, place = own.latency, ("profile", "tools", name, "latency")
        errors = own.errors if own is not None and own.errors is not None else form.errors
        if latency is not None or errors is not None:
            made.append(_tool(context, name, latency, errors, place))
        else:
            made.append(_tool(context, name, None, None, place))
    plain = form.latency is None and form.errors is None and not form.tools
    return None if plain or not made else Profile(f"{SCHEMA}.0", _TAKEN, tuple(made))


def delayed(tools: Iterable[str], ms: float) -> Profile | None:
    """Every call takes so long; None where that is no time."""
    if not ms:
        return None
    level = Level(1, 0, 0.0, (ms, ms))
    return Profile(f"{SCHEMA}.0", _TAKEN, tuple(ToolProfile(name, 0, (level,)) for name in tools))


def _recorded(context: Context, form: ProfileForm, base: Path | None) -> Profile | None:
    place: Trail = ("profile", "recorded")
    if form.latency is not None or form.errors is not None or form.tools:
        context.wrong(place, "a recorded profile stands in place of all others")
    path = Path(form.recorded or "")
    if base is None or path.is_absolute() or ".." in path.parts:
        context.wrong(place, "expected a file beside the world, or below it")
        return None
    try:
        return read_profile(base / path)
    except DefinitionError as error:
        context.wrong(place, str(error))
        return None


def _tool(
    context: Context,
    name: str,
    latency: LatencyForm | None,
    errors: ErrorsForm | None,
    place: Trail,
) -> ToolProfile:
    ms = _quantiles(context, latency, place) if latency is not None else (_LEAST, _LEAST)
    failures: tuple[Failures, ...] = ()
    if errors is not None:
        failures = (Failures("unavailable", errors.rate, ms, errors.message),)
    return ToolProfile(name, 0, (Level(1, 0, 0.0, ms, failures),))


def _quantiles(context: Context, form: LatencyForm, place: Trail) -> tuple[float, ...]:
    """At equal steps; the ends of unbounded distributions are those of a thousandth."""
    given = [key for key in ("fixed", "uniform", "lognormal", "exponential")
             if getattr(form, key) is not None]  # fmt: skip
    if len(given) != 1:
        context.wrong(place, "expected one of fixed, uniform, lognormal and exponential")
        return (_LEAST, _LEAST)
    pair = form.uniform if form.uniform is not None else form.lognormal
    if pair is not None and len(pair) != 2:
        context.wrong((*place, given[0]), f"expected two numbers, got {len(pair)}")
        return (_LEAST, _LEAST)
    single = form.fixed if form.fixed is not None else form.exponential
    values = _curve(given[0], tuple(pair) if pair is not None else (single or 0.0, 0.0))
    if not values or not 0 <= values[0] <= values[-1] < 600_000:
        context.wrong((*place, given[0]), "latency is 0 to 600,000 milliseconds")
        return (_LEAST, _LEAST)
    return values


@lru_cache(maxsize=256)
def _curve(kind: str, numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The quantile function at equal steps; empty for numbers that are out of all reason."""
    if any(not 0 <= number < 1e9 for number in numbers):
        return ()
    values = sorted(_at(kind, numbers, share) for share in _SHARES)
    return tuple(max(_LEAST, round(value, 4)) for value in values)


def _at(kind: str, numbers: tuple[float, ...], share: float) -> float:
    first, second = numbers
    if kind == "fixed":
        return first
    if kind == "uniform":
        return first + share * (second - first)
    if kind == "lognormal":
        return first * math.exp(min(second * NormalDist().inv_cdf(share), 50.0))
    return -math.log1p(-share) * first
