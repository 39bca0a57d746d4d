"""`nexau world show`: entities, tools and the tool graph."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from nexau.cli.exits import emit, stop
from nexau.cli.screen import console, plain, watched
from nexau.synth.worlds.graph import draw, tool_graph
from nexau.synth.worlds.reader import WorldFileError, load_world

EPILOG = """
**Example.** `nexau world show shop.yaml`

On a terminal a drawing; piped, one line of JSON: entities with their fields, tools, and the edges
of the tool graph. `nexau world show shop.yaml --text | less` draws in any case.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def show(
    file: Annotated[Path, typer.Argument(metavar="WORLD", help="A world file.")],
    text: Annotated[bool, typer.Option("--text", help="The drawing, also when piped.")] = False,
) -> None:
    """Draw a world: its entities, its tools, and which tool feeds which."""
    try:
        world = load_world(file)
    except WorldFileError as error:
        stop(str(error))
    if text:
        emit(draw(world))
        return
    if watched():
        console().print(plain(draw(world)))
        return
    graph = tool_graph(world)
    fields = {
        name: {field: kind.name for field, kind in entity.shape.fields.items()}
        for name, entity in world.entities.items()
    }
    line = {"world": world.name, "entities": fields, "tools": graph.tools, "edges": graph.edges}
    emit(msgspec.json.encode(line).decode())
