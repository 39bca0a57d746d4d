"""`nexau world check`: what is wrong with worlds and with their tasks."""

from pathlib import Path
from typing import Annotated

import typer

from nexau.cli.exits import OK, WRONG, say
from nexau.synth.worlds.checks import read_world_tasks
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.reader import read_world
from nexau.synth.worlds.trial import try_tasks, try_world

EPILOG = """
**Examples**

`nexau world check shop.yaml`

`nexau world check examples/worlds/*.yaml`

Tasks in `NAME.tasks.jsonl` beside a world, or named after it, are checked with it: each plan is
played and has to pass its check, and doing nothing has to fail it.

**Exit codes.** 0 all are fine · 2 something is wrong
"""

TASKS = (".jsonl", ".ndjson")

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="World files; tasks files (.jsonl) of the one before."
        ),
    ],
) -> None:
    """Check world files, their seeded rows, their tools, and their tasks."""
    wrong = 0
    for file, tasks in _pairs(files):
        problems = _check(file, tasks)
        for problem in problems:
            say(problem)
        wrong += bool(problems)
    count = len(_pairs(files))
    if count > 1 or not wrong:
        say(f"{count - wrong} of {count} worlds are fine")
    raise typer.Exit(WRONG if wrong else OK)


def _pairs(files: list[Path]) -> list[tuple[Path, list[Path]]]:
    """Worlds with their tasks files."""
    pairs: list[tuple[Path, list[Path]]] = []
    for file in files:
        if file.suffix in TASKS and pairs:
            if file not in pairs[-1][1]:
                pairs[-1][1].append(file)
            continue
        beside = file.with_suffix(".tasks.jsonl")
        pairs.append((file, [beside] if beside.is_file() else []))
    return pairs


def _check(file: Path, tasks_files: list[Path]) -> list[str]:
    world, problems = read_world(file)
    if world is None or problems:
        return list(map(str, problems))
    found = [f"{file}: {each}" for each in try_world(world)]
    for tasks_file in tasks_files:
        found += _tasks(world, tasks_file)
    return found


def _tasks(world: World, file: Path) -> list[str]:
    tasks, problems = read_world_tasks(file, world)
    if problems:
        return list(map(str, problems))
    return [f"{file}: {each}" for each in try_tasks(world, tasks)]
