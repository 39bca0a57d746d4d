"""`--out` and `--resume` of `nexau rollout`: from options to a run's directory."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import nexau
from nexau.cli.exits import say, stop
from nexau.cli.program import cut_short, fault_of
from nexau.journal.directory import (
    LOGS,
    RunDirectory,
    create_run,
    new_manifest,
    read_manifest,
    resume_run,
)
from nexau.journal.durability import Durability
from nexau.journal.files import NotWritten
from nexau.journal.overview import state_of
from nexau.journal.records import Manifest
from nexau.logs import copied_to
from nexau.transports.lines import LinesNotWritten

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the run in a new directory: it survives its death."),
]
ResumeDir = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="DIR", help="Go on with the run in DIR, from the last steps on record."
    ),
]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Resume although the agent is not what it was.")
]
Flush = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="With --out: records gather so long at most. What is younger is done again after a "
        "kill.",
    ),
]
Fsync = Annotated[
    float,
    typer.Option(
        min=-1,
        metavar="SECONDS",
        help="With --out: what is younger may go with a loss of power. -1 leaves it to the system.",
    ),
]
FIXED = ("repeat", "seed", "retries", "limit")
"""Options that a run keeps for good."""


class Keeping(msgspec.Struct, frozen=True):
    """What was asked for."""

    out: Path | None
    resume: Path | None
    accept_changes: bool
    flush: float
    fsync: float

    @property
    def durability(self) -> Durability:
        return Durability(self.flush, None if self.fsync < 0 else self.fsync)


def recorded(
    context: typer.Context, keeping: Keeping, agent: str | None, tasks: str | None
) -> Manifest | None:
    """The manifest of the run that is gone on with. Ends the command where options disagree."""
    if keeping.resume is None:
        _complete(context, keeping, agent, tasks)
        return None
    if keeping.out is not None:
        stop("--out begins a run, --resume goes on with one: give one of them")
    if agent is not None and tasks is None:
        stop("with --resume give AGENT and TASKS, or neither")
    try:
        manifest = read_manifest(keeping.resume)
    except nexau.DefinitionError as error:
        stop(str(error))
    for name in FIXED:
        given = context.params[name]
        kept = getattr(manifest, name)
        if _explicit(context, name) and given != kept:
            stop(f"--{name} {given}: the run was begun with {kept}, which holds for all of it")
    if agent is None and manifest.agent_file is None:
        stop(f"{keeping.resume}: its agent was made in code; go on with it from there")
    return manifest


def _complete(
    context: typer.Context, keeping: Keeping, agent: str | None, tasks: str | None
) -> None:
    for name, value in (("AGENT", agent), ("TASKS", tasks)):
        if value is None:
            context.fail(f"Missing argument '{name}'.")
    if keeping.accept_changes:
        stop("--accept-changes is for --resume")


def argument(context: typer.Context, manifest: Manifest, name: str) -> Any:
    """The option as given now, or else as given when the run was begun."""
    return (
        context.params[name]
        if _explicit(context, name)
        else manifest.arguments.get(name, context.params[name])
    )


def _explicit(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


@contextmanager
def open_directory(
    keeping: Keeping, agent: nexau.Agent, *, tasks: str, arguments: dict[str, Any]
) -> Iterator[RunDirectory | None]:
    """The directory, with the logs going there too while the block runs; None without one."""
    if keeping.resume is not None:
        directory = resume_run(keeping.resume, agent, accept_changes=keeping.accept_changes)
        for repair in directory.recovered.repairs:
            say(f"repaired: {repair}")
        _tell(directory)
    elif keeping.out is not None:
        manifest = new_manifest(
            agent,
            tasks=tasks if tasks == "-" else str(Path(tasks).absolute()),
            arguments=arguments,
            **{name: arguments[name] for name in (*FIXED, "concurrency")},
        )
        directory = create_run(keeping.out, manifest)
    else:
        yield None
        return
    try:
        with copied_to(log_file(directory)):
            yield directory
    finally:
        directory.close()


def log_file(directory: RunDirectory) -> Path:
    """Of this start."""
    return directory.root / LOGS / f"{len(directory.manifest.resumes) + 1:03d}.jsonl"


def _tell(directory: RunDirectory) -> None:
    found = directory.recovered
    say(
        f"resuming {directory.root}: {len(found.ended):,} rollouts have ended, "
        f"{len(found.open_places()):,} go on"
    )


def tell_what_is_kept(keeping: Keeping, error: NotWritten | LinesNotWritten) -> None:
    """Of a run whose directory, stdout or sink could not be written to the end."""
    root = keeping.resume or keeping.out
    if isinstance(error, LinesNotWritten):
        say(f"error: {cut_short(error)}\n  {_else_kept(root)}")
        return
    assert root is not None
    found = state_of(root)
    say(
        f"error: {root} could not be written to the end: {fault_of(error)}\n"
        f"  kept: {found.counts.ended:,} rollouts that have ended, and "
        f"{found.turns_on_record:,} model turns of the {found.unfinished:,} that have not\n"
        "  not kept: what came after the last write; it is done again\n"
        f"  once there is room, go on with: nexau rollout --resume {shlex.quote(str(root))}"
    )


def _else_kept(root: Path | None) -> str:
    """Where all of a run is, though a sink has not got it."""
    if root is None:
        return "a run with --out DIR could be gone on with"
    place = shlex.quote(str(root))
    return (
        f"all is kept in {root}: nexau runs cat {place} has the rollouts that have ended, "
        f"nexau rollout --resume {place} goes on"
    )
