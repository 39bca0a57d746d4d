"""`nexau run`: one rollout, shown as it happens or as JSON lines."""

import sys
from functools import partial
from typing import Annotated, Any

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, LIMIT, OK, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import AgentFile, Backend, Emit, EmitKind, LogLevel, Redact, Seed
from nexau.cli.program import start
from nexau.cli.screen import watched
from nexau.cli.view import View
from nexau.transports.lines import LineWriter, open_lines

EPILOG = """
**Examples**

`nexau run agent.yaml "Which of the open tickets is the oldest?"`

`nexau run agent.yaml "Greet them" --var name=Ada --var tags:='["new", "vip"]'`

`nexau run agent.yaml - < question.txt | jq .answer`

On a terminal the steps appear as they happen. Piped on, or with `--json`, the trajectory is one
line of JSON on stdout.

**Exit codes.** 0 completed · 1 failed · 2 wrong input · 3 a limit ended it · 130 interrupted
"""

CODES = {"completed": OK, "failed": FAILED, "limit": LIMIT, "cancelled": INTERRUPTED}

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    agent: str
    task: nexau.Task
    seed: int
    emit: EmitKind
    json: bool


@app.command(epilog=EPILOG)
def run(
    agent: AgentFile,
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The request; - reads it from stdin.")
    ],
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="A variable of the prompt; NAME:=JSON if no text."),
    ] = None,
    emit: Emit = "trajectories",
    json: Annotated[bool, typer.Option("--json", help="JSON lines also on a terminal.")] = False,
    seed: Seed = 0,
    redact: Redact = "all",
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Run an agent on one task."""
    text = sys.stdin.read().strip() if task == "-" else task
    if not text:
        stop("the task is empty")
    asked = nexau.Task(text, id="1", variables=dict(map(_variable, var or ())))
    request = Request(agent, asked, seed, emit, json or not watched())
    start(partial(_run, request), backend=backend, log_level=log_level, redact=redact)


async def _run(request: Request) -> int:
    agent = nexau.load_agent(request.agent)
    code = INTERRUPTED
    async with (
        obey_signals(grace=0) as interrupts,
        open_lines(1, name="stdout") as writer,
        nexau.open_runtime(seed=request.seed) as runtime,
        runtime.rollouts(
            agent,
            [request.task],
            concurrency=1,
            seed=request.seed,
            sinks=[_sink(writer, request)],
        ) as rollout,
    ):
        interrupts.guard(rollout)
        async for trajectory in rollout:
            code = CODES[trajectory.status]
    return code


def _sink(writer: LineWriter, request: Request) -> nexau.Sink:
    if not request.json:
        return View()
    return nexau.LineSink(writer, request.emit, terminal=sys.stdout.isatty())


def _variable(given: str) -> tuple[str, Any]:
    name, separator, value = given.partition("=")
    if not separator or not name.removesuffix(":").isidentifier():
        stop(f"--var {given!r}: expected NAME=TEXT or NAME:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        stop(f"--var {name[:-1]}: no JSON: {error}")
