"""`nexau synth tasks`: tasks with gold plans and checks, executed before they are described."""

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, emit, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.writers import writer_model
from nexau.files.paths import is_dir
from nexau.servers import ToolsUnavailable
from nexau.synth.tasks.authored import TaskAuthor, Unreached
from nexau.synth.tasks.crew import CrewError, Maker, crew
from nexau.synth.tasks.generate import Settings, label_of, options_of
from nexau.synth.tasks.stands import Stand, agent_of, agent_yaml, stands_of, unknown_tool
from nexau.synth.tasks.workshop import Work, Workshop
from nexau.synth.tasks.writing import Writer

MOST = 4
"""Numbers that are tried for each task that is wanted, before the command gives up."""

EPILOG = """
**SOURCE** is a world file, or a catalog of MCP servers that `nexau synth catalog` wrote. Of outside
servers only tools marked `readOnlyHint` are called, and those that `--allow` names.

**Examples**

`nexau synth tasks examples/worlds/clinic.yaml --n 100 --out clinic.tasks.jsonl`

`nexau synth tasks shop.yaml bank.yaml clinic.yaml --n 200 --fusion 2 --out tasks.jsonl`, then
`nexau rollout tasks.agent.yaml tasks.jsonl --check`

`nexau synth tasks tools.yaml --allow echo --n 20 | jq .input`

Each line is a task for `nexau rollout`: the request, a gold plan that was really executed, and a
check. With `--out`, an agent that has all the servers and a report stand beside the file, a run
that was killed goes on where it was, and what was refused is kept with its reasons in `rejected/`.

**Exit codes.** 0 done · 1 the sources do not give so many different tasks, or a server cannot be
had · 2 wrong input · 130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    work: Work
    count: int
    out: Path | None
    workers: int
    agent: Path | None
    model: nexau.OpenAIModel | None
    strict: bool


@app.command(epilog=EPILOG)
def tasks(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="World files and catalogs.")
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="How many tasks.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same tasks.")] = 7,
    fusion: Annotated[
        int,
        typer.Option(
            min=1,
            max=6,
            help="How many sources have to meet in every task; of several servers, if given.",
        ),
    ] = 1,
    distractors: Annotated[
        int,
        typer.Option(
            min=0, max=64, help="Servers that a task does not need and its agent has, if given."
        ),
    ] = 2,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SERVER/]TOOL", help="A tool of an outside server that may be called."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="[SERVER/]TOOL", help="A tool of an outside server to leave alone."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Scale each world's seeded rows to about so many.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that make tasks.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--writer",
            metavar="MODEL|AGENT",
            help="A model that words the requests and lets the tree of problem types grow:"
            " openai:NAME, or an agent file, whose model it is. Without it a grammar words them.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse what the model cannot word, in place of the grammar."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there, and go on with what is there.")
    ] = None,
    agent: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The agent's file; beside --out if not given."),
    ] = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Make tasks for worlds and MCP servers: executed first, described afterwards."""
    _check_targets(out, agent)
    if agent is None and out is not None:
        agent = out.with_suffix(".agent.yaml")
    folder = str(agent.parent if agent is not None else Path())
    stands = _stands(sources, rows, {"--allow": allow or [], "--skip": skip or []})
    settings = Settings(seed, fusion, distractors)
    work = Work(tuple(stands), settings, folder, tuple(allow or ()), tuple(skip or ()))
    author = writer_model("--model", model)
    if author is not None and workers > 1:
        stop("--workers is for the grammar; a model's answers are waited for side by side")
    if strict and author is None:
        stop("--strict goes with --model")
    request = Request(work, n, out, workers, agent, author, strict)
    start(partial(_tasks, request), backend=backend, log_level=log_level)


def _check_targets(out: Path | None, agent: Path | None) -> None:
    for option, target in (("--out", out), ("--agent", agent)):
        if target is not None and not is_dir(target.parent):
            stop(f"{option}: no directory {target.parent}")
        if target is not None and is_dir(target):
            stop(f"{option}: {target} is a directory")


def _stands(files: list[Path], rows: int | None, named: dict[str, list[str]]) -> list[Stand]:
    """The sources; tools that options name have to be theirs."""
    try:
        stands = stands_of(files, rows)
        for option, names in named.items():
            for fault in filter(None, (unknown_tool(stands, name) for name in names)):
                stop(f"{option}: {fault}")
    except nexau.DefinitionError as error:
        stop(str(error))
    return stands


async def _tasks(request: Request) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        code = await _make(request)
    if code == INTERRUPTED and request.out is not None:
        goes_on = f"the same command goes on with {request.out}"
        say(f"interrupted: {goes_on if request.out.exists() else 'nothing is written yet'}")
    return code


async def _make(request: Request) -> int:
    writer = Writer(request.out, emit)
    try:
        label = label_of(stand.name for stand in request.work.stands)
        writer.resume(label, options_of(request.work.settings))
    except ValueError as error:
        stop(str(error))
    report = writer.report
    try:
        if report.accepted < request.count:
            await _fill(request, writer)
    except (ToolsUnavailable, Unreached, CrewError) as error:
        stop(str(error), FAILED)
    except ValueError as error:
        stop(str(error))
    _write_agent(request)
    _tell(request, writer)
    if report.accepted < request.count:
        names = ", ".join(stand.name for stand in request.work.stands)
        stop(
            f"{names} gave {report.accepted} different tasks for {report.numbers} numbers; ask for "
            "fewer, or scale worlds up with --rows",
            FAILED,
        )
    return OK


async def _fill(request: Request, writer: Writer) -> None:
    report, model = writer.report, request.model
    kept = request.out and request.out.with_suffix(".writing.jsonl")

    def hand(workshop: Workshop) -> Maker:
        assert model is not None
        return TaskAuthor(workshop, model, kept=kept, strict=request.strict)

    most = MOST * request.count
    first, by = writer.next_number, hand if model is not None else None
    async with crew(request.work, first, request.workers, by) as ranges:
        async for made in ranges:
            for each in made:
                # To the number, not to the range, which begins elsewhere in a run that goes on.
                if report.accepted >= request.count or report.numbers >= most:
                    return
                writer.take(each)


def _write_agent(request: Request) -> None:
    if request.agent is not None:
        made = agent_of(request.work.stands, request.agent.parent)
        request.agent.write_bytes(agent_yaml(made))


def _tell(request: Request, writer: Writer) -> None:
    report = writer.report
    say(
        f"{report.accepted} tasks; {report.tries} tries, "
        f"{report.rate:.0%} of them accepted; {report.mean_steps} calls a plan; "
        f"{report.deletions + report.perturbations} variants of plans played, "
        f"{report.equivalent} of them equivalent"
    )
    for reason, count in sorted(report.refused.items(), key=lambda item: -item[1]):
        say(f"  {count:6,}  {reason}")
    for reason, count in sorted(report.unwritten.items(), key=lambda item: -item[1]):
        say(f"  {count:6,}  left to the grammar: {reason}")
    if request.out is not None:
        target = request.out.with_suffix(".report.json")
        target.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if request.agent is not None:
        say(f"agent: {request.agent}")
