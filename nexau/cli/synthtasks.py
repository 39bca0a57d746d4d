"""`nexau synth tasks`: tasks of a world, with gold plans and checks, executed before described."""

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from nexau.cli.exits import OK, emit, say, stop
from nexau.cli.options import LogLevel
from nexau.cli.program import start
from nexau.paths import is_dir
from nexau.synth.tasks.generate import Generator, Settings
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.writing import Writer
from nexau.synth.worlds.reader import load_world

MOST = 4
"""Numbers that are tried for each task that is wanted, before the command gives up."""

EPILOG = """
**Examples**

`nexau synth tasks examples/worlds/clinic.yaml --n 100 --out clinic.tasks.jsonl`

`nexau synth tasks shop.yaml --n 20 --fusion 3 | jq .input`

Each line is a task for `nexau rollout`: the request, a gold plan that was really executed, and a
check. With `--out`, a run that was killed goes on where it was, a report stands beside the file,
and what was refused is kept with its reasons in `rejected/`.

**Exit codes.** 0 done · 1 the world does not give so many different tasks · 2 wrong input ·
130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    world: Path
    count: int
    settings: Settings
    rows: int | None
    out: Path | None


@app.command(epilog=EPILOG)
def tasks(
    world: Annotated[Path, typer.Argument(metavar="WORLD", help="A world file.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many tasks.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same tasks.")] = 7,
    fusion: Annotated[
        int, typer.Option(min=1, max=6, help="How many sources have to meet in every task.")
    ] = 1,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Scale the world's seeded rows to about so many.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there, and go on with what is there.")
    ] = None,
    log_level: LogLevel = "warning",
) -> None:
    """Make tasks for a world: executed first, described afterwards."""
    if out is not None and not is_dir(out.parent):
        stop(f"--out: no directory {out.parent}")
    request = Request(world, n, Settings(seed, fusion), rows, out)
    start(partial(_tasks, request), backend="asyncio", log_level=log_level)


async def _tasks(request: Request) -> int:
    source = WorldSource(load_world(request.world), rows=request.rows)
    try:
        return await _make(request, Generator(source, request.settings))
    finally:
        source.close()


async def _make(request: Request, generator: Generator) -> int:
    writer = Writer(request.out, emit)
    try:
        writer.resume()
    except ValueError as error:
        stop(str(error))
    report = writer.report
    while report.accepted < request.count and report.numbers < MOST * request.count:
        writer.take(await generator.make(writer.next_number))
    _tell(request, writer)
    if report.accepted < request.count:
        stop(
            f"{request.world.name} gave {report.accepted} different tasks for {report.numbers} "
            "numbers; ask for fewer, or scale it up with --rows",
            1,
        )
    return OK


def _tell(request: Request, writer: Writer) -> None:
    report = writer.report
    say(
        f"{report.accepted} tasks; {report.tries} tries in this run, "
        f"{report.rate:.0%} of them accepted; {report.mean_steps} calls a plan; "
        f"{report.deletions + report.perturbations} variants of plans played, "
        f"{report.equivalent} of them equivalent"
    )
    for reason, count in sorted(report.refused.items(), key=lambda item: -item[1]):
        say(f"  {count:6,}  {reason}")
    if request.out is not None:
        target = request.out.with_suffix(".report.json")
        target.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
