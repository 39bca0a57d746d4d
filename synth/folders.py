"""Files of a run that may be killed at any time: whole lines count, torn ones are cut off."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from nexau.definition import DefinitionError
from nexau.problems import display

S = TypeVar("S", bound=Struct)


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
        except msgspec.DecodeError as error:
            raise DefinitionError(f"{display(path)}:{number}: {error}") from None
    return made


def replace_file(path: Path, data: bytes) -> None:
    """All of it or nothing, whenever the process ends."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    os.replace(fresh, path)  # noqa: PTH105


def append_line(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line + b"\n")
