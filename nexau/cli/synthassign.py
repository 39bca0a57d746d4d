"""`nexau synth assign`: plans of tasks, rewritten for a tree of agents."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import check_writable, output
from nexau.synth.tasks.assign import Assigner, Unassignable
from nexau.synth.tasks.judge import worlds_of
from nexau.synth.worlds.checks import read_world_tasks
from nexau.synth.worlds.reader import load_world

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
        typer.Option(metavar="FILE", help="The world; else that of the tree's only world server."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; else to stdout.")
    ] = None,
) -> None:
    """Rewrite the plans of tasks for a tree of agents."""
    check_writable(out)
    try:
        tree = nexau.load_agent(agent)
        file, server = _world(tree, world)
        found = load_world(file)
    except nexau.DefinitionError as error:
        stop(str(error))
    read, problems = read_world_tasks(tasks, found)
    if problems:
        stop("\n".join(map(str, problems)))
    try:
        assigner = Assigner(found, tree, server)
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


def _world(tree: nexau.Agent, given: Path | None) -> tuple[Path, str | None]:
    found = worlds_of(tree)
    if given is not None:
        names = [name for name, served in found.items() if Path(served[0]).name == given.name]
        return given, names[0] if len(names) == 1 else None
    if len(found) != 1:
        stop(f"the tree has {len(found)} world servers; --world FILE says which is meant")
    name, served = next(iter(found.items()))
    return Path(served[0]), name
