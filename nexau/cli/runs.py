"""`nexau runs`: runs that were kept, listed, shown, verified, printed."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

import nexau
from nexau.cli.exits import FAILED, OK, emit, stop, to_stdout
from nexau.cli.screen import console, counted, mebibytes, plain
from nexau.journal.directory import read_manifest
from nexau.journal.overview import (
    RunState,
    Verdict,
    find_runs,
    state_of,
    trajectories_of,
    verify as verify_run,
)

EPILOG = """
**Examples**

`nexau runs list runs/`

`nexau runs show runs/monday`

`nexau runs verify runs/monday`

`nexau runs cat runs/monday | jq .status`

stdout is JSON lines, a run each; where it is a terminal, a table on stderr.

**Exit codes.** 0 fine · 1 `verify` found something lost or altered · 2 no such run
"""

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of a run.")]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    epilog=EPILOG,
    help="List, show, verify and print runs that were kept (`nexau rollout --out`).",
)


@app.command("list")
def list_(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of runs, or one run.")
    ] = Path(),
) -> None:
    """The runs in a folder: state and counts."""
    if not directory.is_dir():
        stop(f"no directory {directory}")
    states = [_state(path) for path in find_runs(directory)]
    if not _watched():
        _lines(states)
        return
    table = Table(box=None)
    for heading in ("run", "agent", "state", "began", "ended", "unfinished", "failed", "size"):
        table.add_column(heading)
    for state in states:
        table.add_row(
            plain(state.path),
            plain(state.agent),
            state.state,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(state.created_at)),
            f"{state.counts.ended:,}",
            f"{state.unfinished:,}",
            f"{state.counts.by_status.get('failed', 0):,}",
            mebibytes(state.bytes),
        )
    console().print(table)


@app.command()
def show(directory: Directory) -> None:
    """One run: what was asked for, what has become of it."""
    state = _state(directory)
    manifest = read_manifest(directory)
    if not _watched():
        emit(_json({"run": state, "manifest": manifest}))
        return
    counts = state.counts
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.created_at))
    rows = [
        ("run", f"{state.id}, begun {began}, resumed {state.resumes} times"),
        ("agent", f"{state.agent} ({manifest.agent_file or 'made in code'})"),
        ("tasks", f"{manifest.tasks}: {state.tasks:,} admitted, {state.repeat} times each"
                  + ("" if state.source_ended else ", more may come")),
        ("state", state.state),
        ("rollouts", f"{counts.ended:,} ended: {counted(counts.by_status)}"),
        ("failures", counted(counts.failures)),
        ("limits", counted(counts.limits)),
        ("attempts", f"{counts.attempts:,}"),
        ("unfinished", f"{state.unfinished:,}, with {state.turns_on_record:,} turns on record"),
        ("size", mebibytes(state.bytes)),
    ]  # fmt: skip
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(plain(name, "bold"), plain(value))
    console().print(table)


@app.command()
def verify(directory: Directory) -> None:
    """Read all of a run against its checksums, and its journal against its trajectories."""
    try:
        verdict = verify_run(directory)
    except nexau.DefinitionError as error:
        stop(str(error))
    if _watched():
        _show_verdict(verdict)
    else:
        emit(_json(verdict))
    raise typer.Exit(OK if verdict.sound else FAILED)


@app.command()
def cat(
    directory: Directory,
    attempts: Annotated[bool, typer.Option(help="Those too that were tried again.")] = False,
) -> None:
    """Print the trajectories of a run, whole and checked, as JSON lines."""
    _state(directory)
    with to_stdout() as lines:
        for line in trajectories_of(directory):
            if attempts or msgspec.json.decode(line).get("final", True):
                lines.write(line + b"\n")


def _state(path: Path) -> RunState:
    try:
        return state_of(path)
    except nexau.DefinitionError as error:
        stop(str(error))


def _show_verdict(verdict: Verdict) -> None:
    out = console()
    word = "[green]sound[/green]" if verdict.sound else "[red]not sound[/red]"
    out.print(f"{word}: {verdict.lines:,} trajectories in {verdict.segments} segments")
    for problem in verdict.problems:
        out.print(plain(f"problem: {problem}"))
    for note in verdict.notes:
        out.print(plain(f"note: {note}"))


def _watched() -> bool:
    return sys.stdout.isatty()


def _lines(values: list[Any]) -> None:
    for value in values:
        emit(_json(value))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
