"""What became of each key of a file that is imported: nothing is dropped without a word."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from nexau.files.problems import Trail, show

Kind = Literal["lost", "changed", "needed"]
"""lost: not carried over. changed: carried over as something else. needed: what is left to do."""


class Note(Struct, frozen=True):
    """One remark on one place of a file."""

    kind: Kind
    file: str
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: {self.kind}: {self.message}"


class Converted(Struct, frozen=True):
    """One file to be written."""

    name: str
    """Relative to the folder of the import."""
    text: str


class Import(Struct):
    """What an import made."""

    files: list[Converted]
    notes: list[Note]
    root: str = ""
    """The file of the agent to run."""

    def note(self, kind: Kind, file: Path, trail: Trail, message: str) -> None:
        self.notes.append(Note(kind, file.name, show(trail), message))


def unknown(
    report: Import, file: Path, at: Trail, keys: Iterable[str], known: Iterable[str]
) -> None:
    """Keys that the other project does not have either, as far as is known here."""
    allowed = set(known)
    for key in keys:
        if key not in allowed:
            report.note("lost", file, (*at, key), "no key that is known here")
