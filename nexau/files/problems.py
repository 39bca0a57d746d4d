"""What is wrong with a file, and where."""

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from nexau.definitions.values import DefinitionError

Trail = tuple[str | int, ...]
"""A path inside a file: keys and list indexes."""


class Problem(Struct, frozen=True, order=True):
    """One fault. `str()` gives `file:line:column: path: message`, which editors can follow."""

    file: str
    line: int
    """From 1; 0 where the fault is the file itself."""
    column: int
    path: str
    """Inside the file, as `agents[1].tools[0].python`; empty for the whole."""
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class AgentFileError(DefinitionError):
    """An agent file that cannot be used, with every problem in it, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def show(trail: Trail) -> str:
    """`agents[1].tools[0].python`; keys that are not plain words stand in quotes."""
    parts: list[str] = []
    for step in trail:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif step.replace("-", "_").isidentifier() or step.startswith("$"):
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{clip(step)}]")
    return "".join(parts)


def display(file: Path) -> str:
    """As a person would write it: relative where the file lies below the working directory."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return str(file)
    return str(file) if relative.startswith("..") else relative


def cut(text: str, length: int) -> str:
    """`text`, short enough for a message."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def clip(value: object, length: int = 60) -> str:
    """`repr`, short enough for a message."""
    return cut(repr(value[: length + 1] if isinstance(value, str) else value), length + 2)
