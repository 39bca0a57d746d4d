"""Paths that people write: looked at without ever raising."""

import os
from pathlib import Path

from nexau.files.nearest import hint
from nexau.files.problems import cut, display


def is_file(path: Path) -> bool:
    # `Path.is_file` raises for names that are too long.
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def siblings(path: Path) -> list[str]:
    """The names in the directory of `path`; none where it cannot be read."""
    try:
        return os.listdir(path.parent)  # noqa: PTH208
    except (OSError, ValueError):
        return []


def missing(path: Path) -> str:
    """Why `path` is no file that can be read, with the nearest one that is there."""
    if is_dir(path):
        return f"{display(path)} is a directory"
    if is_file(path):
        return f"{display(path)} cannot be read"
    return f"no file {cut(display(path), 200)}{hint(path.name, siblings(path), 'there are')}"
