"""`nexau check`: what is wrong with files, before anything runs."""

from functools import partial
from typing import Annotated

import typer

import nexau
from nexau.cli.exits import OK, WRONG, say
from nexau.cli.program import start
from nexau.definitions.agentfile import check_agent

EPILOG = """
**Examples**

`nexau check agent.yaml`

`nexau check agents/*.yaml tasks.jsonl`

Each problem is one line on stderr: file:line:column, the path inside the file, what was expected,
and the nearest valid name. Nothing is run: no server starts, no model is asked.

**Exit codes.** 0 all are fine · 2 something is wrong
"""

TASKS = (".jsonl", ".ndjson")

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def check(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Agent files; tasks files (.jsonl).")
    ],
) -> None:
    """Check agent files, with all that they refer to, and tasks files."""
    start(partial(_check, files), backend="asyncio", log_level="warning")


async def _check(files: list[str]) -> int:
    wrong = 0
    for file in files:
        problems = await _tasks_problems(file) if file.endswith(TASKS) else _agent_problems(file)
        for problem in problems:
            say(problem)
        wrong += bool(problems)
    if len(files) > 1 or not wrong:
        say(f"{len(files) - wrong} of {len(files)} files are fine")
    return WRONG if wrong else OK


def _agent_problems(file: str) -> list[str]:
    return [str(problem) for problem in check_agent(file)]


async def _tasks_problems(file: str) -> list[str]:
    """The first one: what follows a broken line cannot be told."""
    try:
        async with nexau.read_tasks(file) as tasks:
            async for _ in tasks:
                pass
    except nexau.DefinitionError as error:
        return [str(error)]
    return []
