"""`nexau synth assign`: plans of tasks, rewritten for a tree of agents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import check_writable, output
from nexau.files.problems import display
from nexau.synth.tasks.assign import Assigner, Unassignable
from nexau.synth.tasks.judge import worlds_of
from nexau.synth.worlds.checks import read_world_tasks
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.reader import load_world
from nexau.tasks.lines import TaskLines

EPILOG = """
**Examples**

`nexau synth assign tasks.jsonl team.yaml --out team.jsonl && nexau rollout team.yaml team.jsonl`

Each call goes to the agent that has the tool; what crosses agents is told to them. Tasks that the
tree cannot do are left out, and said with the reason.

**Exit codes.** 0 done · 1 no task could be assigned · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def assign(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help="Tasks with flat plans.")],
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent file of the tree.")],
    world: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The world; else all that servers of the tree serve."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; else to stdout.")
    ] = None,
) -> None:
    """Rewrite the plans of tasks for a tree of agents."""
    check_writable(out)
    try:
        tree = nexau.load_agent(agent)
        worlds = _worlds(tree, world)
    except nexau.DefinitionError as error:
        stop(str(error))
    read = _read(tasks, worlds)
    try:
        assigner = Assigner(worlds, tree)
    except Unassignable as error:
        stop(f"{agent}: {error}")
    made = list(_assigned(assigner, read))
    assigner.close()
    if not made:
        stop("no task could be assigned", FAILED)
    with output(out) as target:
        target.writelines(msgspec.json.encode(task) + b"\n" for task in made)
    raise typer.Exit(OK)


def _assigned(assigner: Assigner, tasks: list[nexau.Task]) -> list[nexau.Task]:
    made: list[nexau.Task] = []
    for task in tasks:
        try:
            made.append(assigner.assign(task))
        except Unassignable as error:
            say(f"left out: {task.id}: {error}")
    return made


def _read(tasks: Path, worlds: Mapping[str, World]) -> list[nexau.Task]:
    """The tasks of the file; checks are held against the world, where there is one only."""
    if len(worlds) == 1:
        read, problems = read_world_tasks(tasks, next(iter(worlds.values())))
        if problems:
            stop("\n".join(map(str, problems)))
        return read
    try:
        batch = TaskLines(display(tasks)).feed(tasks.read_bytes().rstrip(b"\n") + b"\n")
    except OSError as error:
        stop(f"{tasks}: cannot be read: {error.strerror}")
    if batch.error is not None:
        stop(str(batch.error))
    return batch.tasks


def _worlds(tree: nexau.Agent, given: Path | None) -> dict[str, World]:
    """The worlds by the name under which the tree knows them. Raises `DefinitionError`."""
    found = worlds_of(tree)
    if given is not None:
        names = [name for name, served in found.items() if Path(served[0]).name == given.name]
        known = names or list(tree.mcp_servers)
        if len(known) != 1:
            stop(f"--world: the tree has {len(known)} servers; which of them serves {given}?")
        return {known[0]: load_world(given)}
    if not found:
        stop("the tree has no world servers; --world FILE says which world is meant")
    return {name: load_world(served[0]) for name, served in found.items()}
