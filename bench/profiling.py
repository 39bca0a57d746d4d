"""Where a contender's time goes: the statistics of cProfile, by part and by function.

cProfile makes calls dearer, small ones most: read shares, not seconds.
"""

import pstats
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent

Function = tuple[str, int, str]

PARTS = (
    ("/bench/", "the benchmark itself"),
    ("/actors/", "nexau.actors"),
    ("/transports/", "nexau.transports"),
    ("/nexau/models/", "nexau.models"),
    ("/nexau/", "nexau"),
    ("/anyio/", "anyio"),
    ("/asyncio/", "asyncio"),
    ("/uvloop/", "asyncio"),
    ("/trio/", "trio"),
    ("/aiohttp/", "aiohttp"),
    ("/mcp/", "mcp"),
    ("/pydantic", "mcp"),
    ("/jsonschema_rs/", "jsonschema-rs"),
)


def tables(path: Path, count: int = 30) -> Sequence[Table]:
    """Of one profile: own time by part, and the `count` functions that take most of it."""
    stats: Mapping[Function, tuple[int, int, float, float, object]] = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    total = sum(entry[2] for entry in stats.values()) or 1.0
    parts: dict[str, float] = {}
    for function, entry in stats.items():
        parts[part(function)] = parts.get(part(function), 0.0) + entry[2]
    by_part = Table(title=f"{path.name}: own time by part", title_justify="left")
    by_part.add_column("part")
    by_part.add_column("%", justify="right")
    for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        by_part.add_row(name, f"{100 * seconds / total:.1f}")
    by_function = Table(title="by function", title_justify="left")
    for heading in ("%", "calls", "us a call"):
        by_function.add_column(heading, justify="right")
    by_function.add_column("function")
    for function, entry in sorted(stats.items(), key=lambda item: -item[1][2])[:count]:
        _, calls, own, *_ = entry
        where = f"{'/'.join(Path(function[0]).parts[-2:])}:{function[1]} " if function[1] else ""
        by_function.add_row(
            f"{100 * own / total:.1f}",
            f"{calls:,}",
            f"{1e6 * own / max(1, calls):.2f}",
            f"{where}{function[2]}",
        )
    return by_part, by_function


def part(function: Function) -> str:
    """The part that a function belongs to."""
    file = function[0]
    if file == "~":
        return "builtins (C)"
    if file.startswith(f"{ROOT}/") and "/site-packages/" not in file:
        file = file.removeprefix(str(ROOT))  # a checkout may lie in a folder called bench
    return next((name for where, name in PARTS if where in file), "other")
