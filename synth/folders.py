"""Folders of runs that may be killed at any time: whole lines count, torn ones are cut off, and a
run goes on only when it was asked for the same.
"""

import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.problems import display

S = TypeVar("S", bound=Struct)
RUN = "run.json"


def begin_run(folder: Path, run: Struct, parts: Iterable[str]) -> None:
    """Makes the folder, with `run` in its `run.json` and folders for its parts; or goes on with one
    whose `run.json` says the same.

    Raises `DefinitionError` for a folder that holds something else.
    """
    described = folder / RUN
    if described.exists():
        _compare(described, run)
    elif folder.exists() and any(not each.name.startswith(".") for each in folder.iterdir()):
        raise DefinitionError(f"{display(folder)} is not empty and holds no run")
    folder.mkdir(parents=True, exist_ok=True)
    # Before all else: from here on the folder is known for a run that can go on.
    replace_file(described, msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    for each in parts:
        (folder / each).mkdir(exist_ok=True)


def _compare(described: Path, run: Struct) -> None:
    try:
        found = msgspec.json.decode(described.read_bytes(), type=type(run))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError(f"{display(described)}: no run: {error}") from None
    for name in run.__struct_fields__:
        old, new = getattr(found, name), getattr(run, name)
        if old != new:
            raise DefinitionError(
                f"{display(described.parent)} holds another run: its {name} is {old!r}, not {new!r}"
            )


def read_lines(path: Path, kind: type[S]) -> list[S]:
    """The whole lines of a file; a torn last one is cut off it. Raises `DefinitionError`."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        replace_file(path, whole)
    made: list[S] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            made.append(msgspec.json.decode(line, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DefinitionError(f"{display(path)}:{number}: {error}") from None
    return made


def replace_file(path: Path, data: bytes) -> None:
    """All of it or nothing, whenever the process ends."""
    fresh = path.with_name(f".{path.name}.new")
    write_file(fresh, data)
    os.replace(fresh, path)  # noqa: PTH105


def write_file(path: Path, data: bytes) -> None:
    """Which may be cut short when the process dies: for files that are written again then."""
    with FileIO(path, "w") as file:
        file.write(data)


def append_line(path: Path, line: bytes) -> None:
    with FileIO(path, "a") as file:
        file.write(line + b"\n")
