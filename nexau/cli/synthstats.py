"""`nexau synth stats`: how diverse what was generated is."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import nexau
from nexau.cli.exits import emit, stop
from nexau.cli.lazy import lazily
from nexau.cli.screen import console, watched
from nexau.files.paths import is_dir

EPILOG = """
**Examples**

`nexau synth stats agents | jq .distinct_trees`

`nexau synth stats worlds --seed 1`

Figures with `low` and `high` have 95 % intervals: by the bootstrap, and for the Vendi score over
random subsets, because drawing things twice would make duplicates. Docs: agent-synthesis.md.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def stats(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Of `nexau synth agents`, or of worlds.")
    ],
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="The Vendi score over sentence embeddings, too.")
    ] = False,
) -> None:
    """Measure diversity: distinct shapes, Vendi score, tool coverage, sizes, near-duplicates."""
    if importlib.util.find_spec("numpy") is None:
        stop("the Vendi score needs the extra: pip install 'nexau[synth]'")
    measures: Any = lazily("nexau.synth.stats")
    if not is_dir(Path(folder)):
        stop(f"no folder {folder}")
    try:
        embedder = None
        if embeddings:
            embedder = lazily("nexau.synth.agents.embeddings").open_embedder()
        made = measures.measure(measures.collect(Path(folder)), seed, embedder)
    except nexau.DefinitionError as error:
        stop(str(error))
    plain = msgspec.to_builtins(made)
    if watched():
        for name, value in plain.items():
            console().print(f"{name:24} {_shown(value)}", soft_wrap=True, markup=False)
        return
    emit(msgspec.json.encode(plain).decode())


def _shown(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"value", "low", "high"}:
        return f"{value['value']:g}  ({value['low']:g} to {value['high']:g})"
    if isinstance(value, dict):
        return "  ".join(f"{key}: {each}" for key, each in value.items())
    return str(value)
