"""`nexau world`: stateful MCP servers made from a specification."""

from collections.abc import Mapping
from typing import ClassVar

import typer

from nexau.cli.lazy import LazyGroup


class WorldGroup(LazyGroup):
    table: ClassVar[Mapping[str, tuple[str, str]]] = {
        "serve": ("nexau.cli.world_serve", "Serve a world over MCP: stdio or streamable HTTP."),
        "show": ("nexau.cli.world_show", "Draw a world: entities, tools, tool graph."),
        "state": ("nexau.cli.world_state", "The state of a served world, as JSON."),
        "reset": ("nexau.cli.world_reset", "Make the state of a served world as new."),
        "check": ("nexau.cli.world_check", "Find what is wrong with worlds and their tasks."),
    }


app = typer.Typer(
    cls=WorldGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def world() -> None:
    """Serve, show and check worlds: MCP servers with state, from a YAML specification."""
