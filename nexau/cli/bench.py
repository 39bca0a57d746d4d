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
from nexau.files.nearest import hint

EPILOG = """
**Examples**

`nexau bench`

`nexau bench rollouts --help`

The questions are files of a checkout of the project; an installed wheel has none.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


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
        show([{"benchmark": name, "question": asked} for name, asked in questions.items()])
        return
    if question not in questions:
        stop(f"no benchmark {question!r}{hint(question, questions, 'there are')}")
    # bench/ is a package beside nexau's folder; the question keeps the working directory.
    paths = (str(_root()), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, "-m", f"bench.{question}", *(arguments or ())]
    sys.stdout.flush()
    os.execv(sys.executable, command)


def _root() -> Path:
    return Path(nexau.__file__).resolve().parent.parent


def _questions() -> dict[str, str]:
    """Names and questions. A benchmark is a program whose first line asks something."""
    folder = _root() / "bench"
    if not folder.is_dir():
        stop(f"there is no {folder}: benchmarks come with a checkout of the project, not the wheel")
    found = {}
    for file in sorted(folder.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        if "?" in first and "__main__" in text:
            found[file.stem] = first
    return found
