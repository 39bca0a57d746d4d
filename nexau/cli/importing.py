"""`nexau import`: agent files of other projects, converted."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, OK, emit, say, stop
from nexau.definitions.agentfile import check_agent
from nexau.imports.framework import import_framework, is_framework
from nexau.imports.original import import_original, is_original
from nexau.imports.values import read_mapping

EPILOG = """
**Examples**

`nexau import deep_research_agent.yaml --out imported`

`nexau import framework_config.yaml --out imported`

Every line of stderr is something that is not carried over (lost), that is carried over as something
else (changed), or that is left to do (needed); the same lines stand at the top of the new files.
Prompts and Python modules stay where they are. stdout gets one line of JSON.

**Exit codes.** 0 converted · 1 converted, but `nexau check` finds something wrong · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An agent file, or a framework.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where it is written.")] = "imported",
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Convert agent files of the original NexAU runtime, and frameworks, into agent files."""
    path, folder = Path(file), Path(out)
    try:
        value = read_mapping(path)
        if is_framework(value):
            report = import_framework(path, folder)
        elif is_original(value):
            report = import_original(path, folder)
        else:
            stop(f"{file} is neither an agent of the original runtime nor a framework")
    except nexau.DefinitionError as error:
        stop(str(error))
    there = [name for name in (each.name for each in report.files) if (folder / name).exists()]
    if there and not force:
        stop(f"{folder / there[0]} is there already; --force writes over it")
    folder.mkdir(parents=True, exist_ok=True)
    for each in report.files:
        (folder / each.name).write_text(each.text, "utf-8")
    for note in report.notes:
        say(str(note))
    problems = check_agent(folder / report.root, environ=None)
    for problem in problems:
        say(str(problem))
    line = {
        "file": str(folder / report.root),
        "files": len(report.files),
        **{kind: sum(note.kind == kind for note in report.notes)
           for kind in ("lost", "changed", "needed")},
        "problems": len(problems),
    }  # fmt: skip
    emit(msgspec.json.encode(line).decode())
    raise typer.Exit(FAILED if problems else OK)
