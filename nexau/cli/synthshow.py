"""`nexau synth show`: a picture of a hierarchy, or of a world's tool graph."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

import nexau
from nexau.cli.exits import emit, say, stop
from nexau.cli.lazy import lazily
from nexau.definitions.structs import AgentFile
from nexau.files.formfile import open_form
from nexau.files.paths import is_dir, is_file, missing
from nexau.synth.agents.fromworld import is_world
from nexau.synth.agents.picture import draw_hierarchy
from nexau.synth.drawing import Picture
from nexau.synth.worlds.picture import draw_world
from nexau.synth.worlds.reader import load_world

EPILOG = """
**Examples**

`nexau synth show agents/agents/00003-order_host.yaml --out hierarchy.svg`

`nexau synth show world.yaml --out tools.png`

Without `--out`, stdout gets the SVG. An agent file is read, nothing that it names is opened.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An agent file, or a world.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="X.svg or X.png; stdout without it.")
    ] = None,
) -> None:
    """Draw a hierarchy of agents, or the tool graph of a world."""
    path = Path(file)
    if not is_file(path):
        stop(missing(path))
    target = Path(out) if out is not None else None
    if target is not None and target.suffix not in (".svg", ".png"):
        stop(f"--out: expected a name in .svg or .png, got {out}")
    if target is not None and not is_dir(target.parent):
        stop(f"--out: no directory {target.parent}")
    if target is not None and target.suffix == ".png" and not _has("matplotlib"):
        stop("PNG needs the extra: pip install 'nexau[synth]'; SVG does not")
    try:
        picture = draw_world(load_world(path)) if is_world(path) else _hierarchy(path)
    except nexau.DefinitionError as error:
        stop(str(error))
    if target is None:
        emit(picture.svg().rstrip("\n"))
    elif target.suffix == ".svg":
        target.write_text(picture.svg(), "utf-8")
    else:
        png: Any = lazily("nexau.synth.drawingpng")
        png.write_png(picture, target)
    if target is not None:
        say(f"{target}: {picture.width:.0f} x {picture.height:.0f}")


def _hierarchy(path: Path) -> Picture:
    document = open_form(path)
    form = document.struct(AgentFile)
    document.settle()
    assert isinstance(form, AgentFile)
    return draw_hierarchy(form, form.name)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
