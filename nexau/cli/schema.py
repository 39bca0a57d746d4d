"""`nexau schema`: what files and output look like, for editors and other programs."""

import importlib
from typing import Annotated, Any, cast, get_args

import msgspec
import typer

from nexau.cli.exits import emit, stop
from nexau.definitions.schemas import Kind, json_schema, schema_of
from nexau.files.nearest import hint

EPILOG = """
**Example.** Completion and checks in every editor that has a YAML language server:

`nexau schema agent > agent.schema.json`

and as the first line of an agent file: `# yaml-language-server: $schema=agent.schema.json`
"""


SYNTH: dict[str, tuple[str, str, str]] = {
    "world": ("nexau.synth.worlds.structs", "WorldForm", "A nexau world file"),
    "catalog": ("nexau.synth.agents.catalog", "Catalog", "A nexau tool catalog"),
}
"""Kinds of synthesis: the module, the Struct, the title. Imported when they are asked for."""

KINDS: tuple[str, ...] = (*get_args(Kind), *SYNTH)

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
    emit(msgspec.json.format(msgspec.json.encode(_schema(kind))).decode())


def _schema(kind: str) -> dict[str, Any]:
    if kind not in SYNTH:
        return json_schema(cast("Kind", kind))
    module, name, title = SYNTH[kind]
    return schema_of(getattr(importlib.import_module(module), name), kind, title, closed=True)
