"""`nexau schema`: what files and output look like, for editors and other programs."""

from typing import Annotated, cast, get_args

import msgspec
import typer

from nexau.cli.exits import emit, stop
from nexau.nearest import hint
from nexau.schemas import Kind, json_schema

EPILOG = """
**Example.** Completion and checks in every editor that has a YAML language server:

`nexau schema agent > agent.schema.json`

and as the first line of an agent file: `# yaml-language-server: $schema=agent.schema.json`
"""


KINDS: tuple[str, ...] = get_args(Kind)

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=", ".join(KINDS), autocompletion=lambda: KINDS)
    ],
) -> None:
    """Print the JSON Schema (draft 2020-12) of one kind of file or of line."""
    if kind not in KINDS:
        stop(f"no schema {kind!r}{hint(kind, KINDS, 'there are')}")
    emit(msgspec.json.format(msgspec.json.encode(json_schema(cast("Kind", kind)))).decode())
