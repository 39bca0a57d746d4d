"""The folder of a run: what was accepted, what was rejected, and what is needed to go on.

    run.json              what the run was asked for
    catalog.json          the tools, with how to start their servers from here
    agents/NAME.yaml      one agent file for each hierarchy
    smoke/NAME.jsonl      a task that visits all its agents
    index.jsonl           one line for each, in order (`Record`)
    rejected/             the same for what was refused; reasons.jsonl says why

A hierarchy counts from the moment its line stands whole in the index. Files are written before
their line, so a run that was killed goes on after the last whole line and writes the same bytes.
"""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definition import DefinitionError
from nexau.problems import display
from nexau.synth.agents.drafts import Draft, Record

SCHEMA = "nexau-agents/1"


class RunFile(Struct, frozen=True):
    """What decides every byte of a run. The number of hierarchies does not: more can be added."""

    schema: str
    specification: str
    seed: int
    complexity: float | None
    distractors: float
    most: int
    model: Any
    writer: str
    matching: str
    """lexical, embeddings, or the model that ranked the tools."""
    smoke: str
    catalog: str
    """Its content id."""


class Rejected(Struct, frozen=True):
    """A line of `rejected/reasons.jsonl`."""

    index: int
    file: str | None
    reasons: tuple[str, ...]
    counted: bool = False
    """Whether later candidates were compared with it: it failed on its servers only."""
    record: Record | None = None


class Store:
    """One folder, opened by one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accepted: list[Record] = []
        self.rejected: list[Rejected] = []
        self._index = folder / "index.jsonl"
        self._reasons = folder / "rejected" / "reasons.jsonl"

    def open(self, run: RunFile, catalog: bytes) -> None:
        """Begins a run, or goes on with one that was asked for the same.

        Raises `DefinitionError` for a folder that holds something else.
        """
        described = self.folder / "run.json"
        if described.exists():
            self._compare(described, run)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise DefinitionError(f"{display(self.folder)} is not empty and holds no run")
        for each in ("agents", "smoke", "rejected"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        _replace(self.folder / "catalog.json", catalog)
        self.accepted = list(_lines(self._index, Record))
        self.rejected = list(_lines(self._reasons, Rejected))
        _replace(described, msgspec.json.format(msgspec.json.encode(run)) + b"\n")

    def _compare(self, described: Path, run: RunFile) -> None:
        try:
            found = msgspec.json.decode(described.read_bytes(), type=RunFile)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DefinitionError(f"{display(described)}: no run: {error}") from None
        for name in RunFile.__struct_fields__:
            old, new = getattr(found, name), getattr(run, name)
            if old != new:
                raise DefinitionError(
                    f"{display(self.folder)} holds another run: its {name} is {old!r}, not {new!r}"
                )

    @property
    def next_index(self) -> int:
        done = [each.index for each in self.accepted] + [each.index for each in self.rejected]
        return max(done, default=-1) + 1

    def place(self, draft: Draft) -> None:
        """Writes the files of a draft that may yet be refused. They need not be whole when the
        process dies: without a line in the index they are written again."""
        _write(self.folder / draft.record.file, draft.yaml)
        _write(self.folder / draft.record.smoke_file, draft.task + b"\n")

    def accept(self, record: Record) -> None:
        _append(self._index, msgspec.json.encode(record))
        self.accepted.append(record)

    def reject(self, draft: Draft, reasons: tuple[str, ...], *, counted: bool) -> None:
        name = Path(draft.record.file).name
        self.discard(draft)
        _write(self.folder / "rejected" / name, draft.yaml)
        record = draft.record if counted else None
        rejected = Rejected(draft.record.index, f"rejected/{name}", reasons, counted, record)
        _append(self._reasons, msgspec.json.encode(rejected))
        self.rejected.append(rejected)

    def discard(self, draft: Draft) -> None:
        """Removes what was placed beyond the last one that is wanted."""
        for file in (draft.record.file, draft.record.smoke_file):
            (self.folder / file).unlink(missing_ok=True)

    def fail(self, index: int, reasons: tuple[str, ...]) -> None:
        """A candidate of which nothing could be written."""
        rejected = Rejected(index, None, reasons)
        _append(self._reasons, msgspec.json.encode(rejected))
        self.rejected.append(rejected)


def read_index(folder: Path) -> list[Record]:
    """The accepted ones. Raises `DefinitionError`."""
    if not (folder / "run.json").is_file():
        raise DefinitionError(f"{display(folder)} holds no run of nexau synth agents")
    return list(_lines(folder / "index.jsonl", Record))


def _lines(path: Path, kind: type[Struct]) -> Iterator[Any]:
    """Whole lines; a torn last one, of a run that was killed, is cut off."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        _replace(path, whole)
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DefinitionError(f"{display(path)}:{number}: {error}") from None


def _replace(path: Path, data: bytes) -> None:
    """All of it or nothing, whenever the process ends."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    os.replace(fresh, path)  # noqa: PTH105


def _write(path: Path, data: bytes) -> None:
    with FileIO(path, "w") as file:
        file.write(data)


def _append(path: Path, line: bytes) -> None:
    with FileIO(path, "a") as file:
        file.write(line + b"\n")
