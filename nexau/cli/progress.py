"""While it runs: one line on a terminal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nexau.cli.screen import console, counted, milliseconds
from nexau.transports.scoping import background

if TYPE_CHECKING:
    from nexau.runs import Run
    from nexau.workers.run import WorkersRun

INTERVAL = 0.2
LAG_WORTH_TELLING = 0.5
"""Seconds by which the event loop was late."""


@asynccontextmanager
async def progress_of(
    run: "Run | WorkersRun", *, tasks: str, limit: int | None, repeat: int
) -> AsyncIterator[None]:
    """A live bar on stderr while the block runs. `tasks` is the file, or `-`."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # rich's own refreshing is a thread, which would take the GIL from the loop at odd times.
    bar = Progress(*columns, console=console(), auto_refresh=False, redirect_stdout=False)
    identity = bar.add_task("rollouts", total=None, state="")

    async def count() -> None:
        total = await anyio.to_thread.run_sync(_lines, tasks, abandon_on_cancel=True)
        if total is not None:
            bar.update(identity, total=min(total, limit or total) * repeat)

    async def refresh() -> None:
        while True:
            statistics = run.statistics()
            bar.update(identity, completed=statistics["done"], state=_state(statistics))
            bar.refresh()
            await anyio.sleep(INTERVAL)

    with bar:
        async with background() as helpers:
            helpers.start_soon(count)
            helpers.start_soon(refresh)
            yield
        statistics = run.statistics()
        bar.update(identity, completed=statistics["done"], state=_state(statistics))
        bar.refresh()


def _state(statistics: dict[str, object]) -> str:
    parts = [f"{statistics['running']} running", f"{statistics['rollouts_per_second']:,.4g}/s"]
    latency, lag = statistics["tool_latency_p95"], statistics["loop_lag_max"]
    if isinstance(latency, float) and latency:
        parts.append(f"tools p95 {milliseconds(latency)}")
    failures = statistics["failures"]
    if isinstance(failures, dict) and failures:
        parts.append(f"[red]failed: {counted(failures)}[/red]")
    if isinstance(lag, float) and lag > LAG_WORTH_TELLING:
        parts.append(f"[yellow]loop late by {milliseconds(lag)}[/yellow]")
    return " · ".join(parts)


def _lines(tasks: str) -> int | None:
    """How many lines of a file are not blank; None for a stream."""
    if tasks == "-":
        return None
    with suppress(OSError), Path(tasks).open("rb") as file:
        if file.seekable():
            return sum(1 for line in file if not line.isspace())
    return None
