"""`nexau schema`: what files and output look like, for editors and other programs."""

from typing import Annotated, Literal

import msgspec
import typer

from nexau.cli.exits import emit
from nexau.schemas import json_schema

EPILOG = """
**Example.** Completion and checks in every editor that has a YAML language server:

`nexau schema agent > agent.schema.json`

and as the first line of an agent file: `# yaml-language-server: $schema=agent.schema.json`
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def schema(
    kind: Annotated[
        Literal["agent", "task", "trajectory", "step", "event"],
        typer.Argument(help="The file or line to describe."),
    ],
) -> None:
    """Print the JSON Schema (draft 2020-12) of one kind of file or of line."""
    emit(msgspec.json.format(msgspec.json.encode(json_schema(kind))).decode())
