"""`nexau lineage`: from what an artefact was made."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.tree import Tree

import nexau
from nexau.cli.exits import emit, stop
from nexau.cli.screen import console, plain, watched
from nexau.synth.ancestry import Ancestry, descendants, trace

EPILOG = """
**Examples**

`nexau lineage rollout:2f6c0b data/`

`nexau lineage desk-0006/0 trajectories.jsonl tasks.jsonl`

An id is a kind and the hash of what it names; six digits of it do where they are unique, and so
does the name of a task or rollout. Files are JSON lines: records of lineage, and tasks and
trajectories that carry theirs. A folder stands for all of them below it.

One line of JSON on stdout, a tree on a terminal.

**Exit codes.** 0 found · 2 not found, or several
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("lineage", epilog=EPILOG)
def lineage(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="An id, the beginning of one, or a name.")
    ],
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...", help="Files, and folders of them. Default: the working folder."
        ),
    ] = None,
    below: Annotated[
        bool, typer.Option("--below", help="Count what was made from it, too.")
    ] = False,
) -> None:
    """Print the chain of an artefact: specification, world, task, rollout, export."""
    where = places or [Path()]
    try:
        found = trace(identity, where)
        counts = descendants(found.found.lineage.id, where) if below else None
    except nexau.DefinitionError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename}: cannot be read: {error.strerror}")
    if watched():
        console().print(_drawn(found))
        if counts is not None:
            console().print("made from it:", counts or "nothing")
        return
    chain: dict[str, Any] = msgspec.to_builtins(found)
    emit(msgspec.json.encode(chain if counts is None else {**chain, "below": counts}).decode())


def _drawn(ancestry: Ancestry, tree: Tree | None = None) -> Tree:
    lineage = ancestry.found.lineage
    made = lineage.made.get("by", "")
    text = plain(f"{lineage.id[: len(lineage.kind) + 13]} {lineage.name}").append(
        f"  {made}  {ancestry.found.file}:{ancestry.found.line}", "dim"
    )
    node = Tree(text) if tree is None else tree.add(text)
    if ancestry.repeated:
        node.add("[dim]as above[/dim]")
    for parent in ancestry.parents:
        _drawn(parent, node)
    for absent in ancestry.missing:
        node.add(plain(f"{absent}: no record", "yellow"))
    return node
