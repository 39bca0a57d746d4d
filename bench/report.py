"""What was measured, for people: a table on stderr, a plot in a file."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.cases import CASES
from bench.harness import Cell, Sample, Spread

BUSY = 0.9
"""Share of its core from which on a contender is called CPU-bound."""


WIDTH = 150
"""Columns of a table that no terminal shows."""


def console() -> Console:
    return Console(file=sys.stderr, width=None if sys.stderr.isatty() else WIDTH)


def progress(sample: Sample, done: int, total: int) -> str:
    """One line for one measurement."""
    place = f"[{done}/{total}] {sample.case} @ {sample.concurrency:,} {sample.contender}"
    if sample.error is not None:
        return f"{place}: FAILED: {sample.error.splitlines()[-1]}"
    if sample.suspended_rss:
        held = (sample.suspended_rss - sample.idle_rss) / sample.concurrency
        return f"{place}: {held / 1024:.1f} KB a rollout"
    rate = sample.rollouts / sample.wall
    cpu = 1000 * sample.cpu / sample.rollouts
    return f"{place}: {rate:,.0f} rollouts/s, {cpu:.3f} CPU ms a rollout"


Show = Callable[[Cell], str]


def table(title: str, cells: Sequence[Cell]) -> Table:
    """One row a cell: medians, and in small how far the rounds lay apart."""
    memory = any("held" in cell.figures for cell in cells)
    columns = MEMORY_COLUMNS if memory else SPEED_COLUMNS
    drawn = Table(title=title, title_justify="left")
    for name in ("case", "at once", "contender", *columns):
        drawn.add_column(name, justify="left" if name in ("case", "contender") else "right")
    before = ""
    for cell in cells:
        place = [cell.case, f"{cell.concurrency:,}", cell.contender]
        if before and before != cell.case:
            drawn.add_section()
        before = cell.case
        if not cell.figures:
            drawn.add_row(*place, "failed")
            continue
        drawn.add_row(*place, *[show(cell) for show in columns.values()])
    return drawn


def _rate(cell: Cell) -> str:
    rate = cell.figures["rate"]
    return f"{rate.median:,.0f} {_spread(rate)}"


def _spread(spread: Spread) -> str:
    if spread.median == 0 or spread.least == spread.most:
        return ""
    return f"±{50 * (spread.most - spread.least) / spread.median:.0f}%"


def _efficiency(cell: Cell) -> str:
    if "efficiency" not in cell.figures:
        return "-"
    bound = cell.figures["core"].median >= BUSY
    ideal = cell.figures["ideal"].median
    share = 100 * cell.figures["efficiency"].median
    return f"{share:.0f}% of {ideal:,.0f}/s{', CPU-bound' if bound else ''}"


def _number(name: str, scale: float, form: str) -> Show:
    def show(cell: Cell) -> str:
        found = cell.figures.get(name)
        return "-" if found is None else format(scale * found.median, form)

    return show


SPEED_COLUMNS: dict[str, Show] = {
    "rollouts/s": _rate,
    "CPU ms": _number("cpu_ms", 1, ".3f"),
    "of a core": _number("core", 100, ".0f"),
    "efficiency": _efficiency,
    "servers' CPU ms": _number("server_cpu_ms", 1, ".2f"),
    "added ms, p50": _number("added_p50_ms", 1, ",.1f"),
    "p99": _number("added_p99_ms", 1, ",.1f"),
    "first ms": _number("first_ms", 1, ",.1f"),
    "peak MB": _number("peak_rss", 1 / 2**20, ".0f"),
    "line, bytes": _number("line", 1, ",.0f"),
}
MEMORY_COLUMNS: dict[str, Show] = {
    "KB a suspended rollout": _number("held", 1 / 1024, ",.1f"),
    "above its messages": _number("above_messages", 1 / 1024, ",.1f"),
    "idle MB": _number("idle_rss", 1 / 2**20, ".0f"),
    "peak MB": _number("peak_rss", 1 / 2**20, ".0f"),
    "line, bytes": _number("line", 1, ",.0f"),
}


class PlotError(Exception):
    """A plot could not be drawn; the text says what to do."""


def plot(title: str, cells: Sequence[Cell], path: Path) -> None:
    """Rollouts a second against concurrency, a panel for each case; PNG, SVG or PDF by suffix.

    Raises `PlotError` without matplotlib, and for a suffix it does not know.
    """
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
    except ImportError:
        raise PlotError("a plot needs matplotlib: pip install 'nexau[bench]'") from None
    matplotlib.use("agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    memory = any("held" in cell.figures for cell in cells)
    good = [cell for cell in cells if cell.figures]
    cases = list(dict.fromkeys(cell.case for cell in good))
    if not cases:
        raise PlotError("there is nothing to plot: every measurement failed")
    wide = min(3, len(cases))
    tall = -(-len(cases) // wide)
    figure, panels = pyplot.subplots(
        tall, wide, figsize=(4.2 * wide, 3.2 * tall), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    for panel, case in zip(panels.flat, cases, strict=False):
        _panel(panel, case, [cell for cell in good if cell.case == case], memory=memory)
    for panel in panels.flat[len(cases) :]:
        panel.set_visible(False)
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise PlotError(f"{path}: {error}") from None
    finally:
        pyplot.close(figure)


def _panel(panel: Any, case: str, cells: Sequence[Cell], *, memory: bool) -> None:
    name, scale = ("held", 1 / 1024) if memory else ("rate", 1.0)
    for contender in dict.fromkeys(cell.contender for cell in cells):
        mine = [cell for cell in cells if cell.contender == contender]
        spreads = [cell.figures[name] for cell in mine]
        middle = [scale * spread.median for spread in spreads]
        low = [scale * (spread.median - spread.least) for spread in spreads]
        high = [scale * (spread.most - spread.median) for spread in spreads]
        points = [cell.concurrency for cell in mine]
        panel.errorbar(points, middle, yerr=(low, high), marker="o", capsize=2, label=contender)
    points = sorted({cell.concurrency for cell in cells})
    ideals = [CASES[case].ideal(point) for point in points]
    if not memory and None not in ideals:
        panel.plot(points, ideals, linestyle=":", color="grey", label="ideal")
    panel.set_title(case, fontsize="medium")
    panel.set_xscale("log")
    if not memory:
        panel.set_yscale("log")
    panel.set_xlabel("rollouts at once")
    panel.set_ylabel("KB a rollout" if memory else "rollouts/s")
    panel.grid(visible=True, alpha=0.3)
    panel.legend(fontsize="x-small")
