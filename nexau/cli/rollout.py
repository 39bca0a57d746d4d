"""`nexau rollout`: many tasks, trajectories to stdout the moment they end."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, stop
from nexau.cli.grading import Check, Grading, JudgeModel, Signals, UserModel
from nexau.cli.interrupts import Interrupts, obey_signals
from nexau.cli.kept import (
    AcceptChanges,
    Flush,
    Fsync,
    Keeping,
    Out,
    ResumeDir,
    argument,
    log_file,
    open_directory,
    recorded,
    tell_what_is_kept,
)
from nexau.cli.options import (
    Backend,
    Emit,
    EmitKind,
    Grace,
    LogLevel,
    LogLevelName,
    OptionalAgentFile,
    Redact,
    RedactName,
    Seed,
)
from nexau.cli.program import first_of, start
from nexau.cli.progress import progress_of
from nexau.cli.report import show_summary
from nexau.cli.sinks import Sinks, SinkSpec, StdoutPolicy, open_sinks, parse_sinks
from nexau.journal.files import NotWritten
from nexau.output.sinks import Outlet, Policy
from nexau.secrets.redaction import SECRETS
from nexau.tasks.stream import TaskStream, read_tasks
from nexau.transports.lines import LinesNotWritten, LineWriter, open_lines
from nexau.transports.scoping import background

if TYPE_CHECKING:
    from nexau.journal.directory import RunDirectory
    from nexau.runs import Run
    from nexau.summary import Summary
    from nexau.workers.run import WorkersRun

    AnyRun = Run | WorkersRun

STDOUT = 1
GRADING = ("check", "signals", "judge_model", "user_model")

EPILOG = """
**Examples**

`nexau rollout agent.yaml tasks.jsonl > trajectories.jsonl`

`nexau rollout agent.yaml tasks.jsonl --repeat 8 --concurrency 512 --summary run.json | jq .status`

`make-tasks | nexau rollout agent.yaml - --emit events`

`nexau rollout agent.yaml tasks.jsonl --check --repeat 8 > scored.jsonl`

**Streams.** Tasks are read as they are needed, so a million of them, or an endless pipe, are fine.
A slow reader of stdout slows the run down; when it goes away, the run ends (exit code 0).

**Ctrl-C** (or SIGTERM) once: no new rollouts, those that run have `--grace` seconds, then they are
sealed as cancelled. Twice: all are sealed as cancelled at once. The last line is whole either way.

**Exit codes.** 0 every rollout ended, in an answer or at a limit · 1 some failed, or the servers
could not be started · 2 wrong input · 130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    agent: str
    tasks: str
    concurrency: int
    repeat: int
    emit: EmitKind
    seed: int
    retries: int
    limit: int | None
    grace: float
    summary: Path | None
    progress: bool
    workers: int
    backend: str
    log_level: LogLevelName
    redact: RedactName
    policy: Policy
    keeping: Keeping
    check: bool
    signals: bool
    judge_model: str | None
    user_model: str | None
    sinks: tuple[SinkSpec, ...] = ()
    again: bool = True
    """Whether the source of tasks is to be read: not where stdin was, unless it is named anew."""

    @property
    def grading(self) -> Grading:
        return Grading(self.check, self.signals, self.judge_model, self.user_model)


class Outcome:
    """What has become of the run so far."""

    def __init__(self) -> None:
        self.failed = 0
        """Rollouts whose last attempt failed."""
        self.unwritten: NotWritten | LinesNotWritten | None = None
        """Why the directory, or a sink, does not have all that had come."""
        self.unread = False
        """Whether stdout's reader went away."""
        self.summary: Summary | None = None


@app.command(epilog=EPILOG)
def rollout(
    context: typer.Context,
    agent: OptionalAgentFile = None,
    tasks: Annotated[
        str | None,
        typer.Argument(metavar="TASKS", help="A file of JSON lines, one task each; - is stdin."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, help="Rollouts at once.")
    ] = 64,
    repeat: Annotated[
        int, typer.Option("--repeat", "-n", min=1, help="Rollouts of each task.")
    ] = 1,
    emit: Emit = "trajectories",
    seed: Seed = 0,
    retries: Annotated[
        int, typer.Option(min=0, help="Further attempts at a rollout that failed; all are kept.")
    ] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N tasks.")] = None,
    grace: Grace = 10.0,
    check: Check = False,
    signals: Signals = False,
    judge_model: JudgeModel = None,
    user_model: UserModel = None,
    out: Out = None,
    resume: ResumeDir = None,
    accept_changes: AcceptChanges = False,
    flush: Flush = 0.05,
    fsync: Fsync = 1.0,
    sink: Sinks = None,
    policy: StdoutPolicy = "block",
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the summary there, as JSON.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Processes that share the rollouts at once: as many as there are cores to use.",
        ),
    ] = 1,
    progress: Annotated[
        bool,
        typer.Option(
            "--progress/--no-progress",
            help="A live bar, where stderr is a terminal and stdout is not.",
        ),
    ] = True,
    redact: Redact = "all",
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Run an agent on many tasks at once; each trajectory is a line of JSON on stdout."""
    if summary is not None and not (summary.parent.is_dir() and os.access(summary.parent, os.W_OK)):
        stop(f"cannot write {summary}: no such directory, or no permission")
    keeping = Keeping(out, resume, accept_changes, flush, fsync)
    request = _request(context, keeping)
    start(partial(_rollout, request), backend=backend, log_level=log_level, redact=redact)


def _request(context: typer.Context, keeping: Keeping) -> Request:
    """Of a run that is gone on with, what is not given is as it was."""
    given = context.params
    known = {name: given[name] for name in Request.__struct_fields__ if name in given}
    manifest = recorded(context, keeping, given["agent"], given["tasks"])
    if manifest is not None:
        known["agent"] = given["agent"] or manifest.agent_file
        known["tasks"] = given["tasks"] or manifest.tasks
        known |= {name: getattr(manifest, name) for name in ("repeat", "seed", "retries", "limit")}
        known |= {
            name: argument(context, manifest, name) for name in ("concurrency", "emit", *GRADING)
        }
        known["again"] = given["tasks"] is not None or manifest.tasks != "-"
    sinks = parse_sinks(given["sink"] or (), known["emit"])
    return Request(**known, keeping=keeping, sinks=sinks)


async def _rollout(request: Request) -> int:
    agent = request.grading.prepared(nexau.load_agent(request.agent))
    outcome = Outcome()
    async with obey_signals(request.grace) as interrupts:
        try:
            with open_directory(
                request.keeping, agent, tasks=request.tasks, arguments=_arguments(request)
            ) as directory:
                follow = _follow if request.workers == 1 else _follow_workers
                await follow(request, agent, directory, interrupts, outcome)
        except* LinesNotWritten as group:
            # Of a sink that came too late with it for `_see_through`: when it was closed.
            late = first_of(group)
            assert isinstance(late, LinesNotWritten)
            outcome.unwritten = outcome.unwritten or late
        finally:
            # After the last line, so that the two do not mix on a terminal.
            _report(request, outcome)
            if outcome.unwritten is not None:
                tell_what_is_kept(request.keeping, outcome.unwritten)
    if interrupts.count:
        return INTERRUPTED
    if outcome.unwritten is not None:
        return FAILED
    return FAILED if outcome.failed and not outcome.unread else OK


def _arguments(request: Request) -> dict[str, Any]:
    """For the manifest."""
    left_out = ("keeping", "summary", "progress", "again", "sinks")
    names = (name for name in Request.__struct_fields__ if name not in left_out)
    return {name: getattr(request, name) for name in names}


def _tasks(request: Request) -> TaskStream | None:
    """None where only what was admitted before is to be finished."""
    return read_tasks(request.tasks, limit=request.limit) if request.again else None


async def _follow(
    request: Request,
    agent: nexau.Agent,
    directory: "RunDirectory | None",
    interrupts: Interrupts,
    outcome: Outcome,
) -> None:
    graders = request.grading.graders(agent)
    async with (
        open_lines(STDOUT, name="stdout") as writer,
        _sinks(request, writer, directory) as sinks,
        nexau.open_runtime(seed=request.seed) as runtime,
        runtime.rollouts(
            agent,
            _tasks(request),
            concurrency=request.concurrency,
            repeat=request.repeat,
            seed=request.seed,
            retries=request.retries,
            judge=graders.judge,
            signals=graders.signals,
            judge_model=graders.judge_model,
            user_model=graders.user_model,
            sinks=sinks,
            out=directory,
            durability=request.keeping.durability,
        ) as run,
    ):
        interrupts.guard(run)
        async with _ended_by(writer, run), _progress(request, run):
            await _see_through(run, writer, outcome)


async def _follow_workers(
    request: Request,
    agent: nexau.Agent,
    directory: "RunDirectory | None",
    interrupts: Interrupts,
    outcome: Outcome,
) -> None:
    async with (
        open_lines(STDOUT, name="stdout") as writer,
        _sinks(request, writer, directory) as sinks,
        nexau.open_workers(
            agent,
            _tasks(request),
            workers=request.workers,
            concurrency=request.concurrency,
            repeat=request.repeat,
            seed=request.seed,
            retries=request.retries,
            sinks=sinks,
            out=directory,
            durability=request.keeping.durability,
            settings=nexau.WorkerSettings(
                log_level=request.log_level,
                backend=request.backend,
                redact=request.redact,
                log_file=str(log_file(directory).absolute()) if directory is not None else None,
            ),
            graders=request.grading.graders(agent),
        ) as run,
    ):
        interrupts.guard(run)
        async with _ended_by(writer, run), _progress(request, run):
            await _see_through(run, writer, outcome)


@asynccontextmanager
async def _sinks(
    request: Request, writer: LineWriter, directory: "RunDirectory | None"
) -> AsyncIterator[list[Any]]:
    """stdout and those of `--sink`, each with its policy."""
    folder = directory.root if directory is not None else None
    stdout = nexau.LineSink(writer, request.emit, terminal=sys.stdout.isatty())
    async with open_sinks(request.sinks, folder) as others:
        yield [Outlet(stdout, request.policy, folder), *others]


async def _see_through(run: "AnyRun", writer: LineWriter, outcome: Outcome) -> None:
    refused = False
    try:
        await run.wait()
    except (NotWritten, LinesNotWritten) as error:
        outcome.unwritten = error
    except nexau.DefinitionError:
        refused = True
        raise
    finally:
        outcome.failed = run.failed
        outcome.unread = writer.broken
        summary = run.summary()
        if summary.rollouts or not refused:
            outcome.summary = summary


@asynccontextmanager
async def _ended_by(writer: LineWriter, run: "AnyRun") -> AsyncIterator[None]:
    """Ends the run when nobody reads its output any more."""

    async def watch() -> None:
        # Otherwise the run would learn of it with its next line, minutes of model time later.
        await writer.wait_broken()
        run.cancel()

    async with background() as helpers:
        helpers.start_soon(watch)
        yield


def _progress(request: Request, run: "AnyRun") -> AbstractAsyncContextManager[None]:
    # A bar among lines on the same terminal would spoil both.
    if not request.progress or sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext()
    return progress_of(run, tasks=request.tasks, limit=request.limit, repeat=request.repeat)


def _report(request: Request, outcome: Outcome) -> None:
    if outcome.summary is None:
        return
    show_summary(outcome.summary)
    if request.summary is not None:
        encoded = msgspec.json.format(msgspec.json.encode(outcome.summary)) + b"\n"
        request.summary.write_bytes(SECRETS.line(encoded))
