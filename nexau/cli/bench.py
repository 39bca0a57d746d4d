"""`nexau bench`: the questions in bench/, each a file, a program and an answer."""

import ast
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import nexau
from nexau.cli.exits import stop
from nexau.cli.rows import show
from nexau.nearest import hint

EPILOG = """
**Examples**

`nexau bench`

`nexau bench rollouts --help`

The questions are files of a checkout of the project; an installed wheel has none.
"""

app = typer.Typer(rich_markup_mode="markdown")


# Without interspersed arguments everything after the question is the question's.
@app.command(epilog=EPILOG, context_settings={"allow_interspersed_args": False})
def bench(
    question: Annotated[str | None, typer.Argument(help="One of those listed.")] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Passed on to it; --help tells which.")
    ] = None,
) -> None:
    """List the questions that benchmarks answer, or run one."""
    questions = _questions()
    if question is None:
        show([{"question": name, "asks": _summary(file)} for name, file in questions.items()])
        return
    if question not in questions:
        stop(f"no benchmark {question!r}{hint(question, questions, 'there are')}")
    sys.stdout.flush()
    command = [sys.executable, str(questions[question]), *(arguments or ())]
    os.execv(sys.executable, command)


def _questions() -> dict[str, Path]:
    folder = Path(nexau.__file__).resolve().parent.parent / "bench"
    if not folder.is_dir():
        stop(f"there is no {folder}: benchmarks come with a checkout of the project, not the wheel")
    files = sorted(folder.glob("*.py"))
    return {f.stem: f for f in files if not f.stem.startswith("_") and _is_program(f)}


def _is_program(file: Path) -> bool:
    return "__main__" in file.read_text(encoding="utf-8")


def _summary(file: Path) -> str:
    documentation = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return documentation.partition("\n")[0]
