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

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.problems import display
from nexau.synth.agents.drafts import Draft, Record
from nexau.synth.folders import RUN, append_line, begin_run, read_lines, replace_file, write_file

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
        begin_run(self.folder, run, ("agents", "smoke", "rejected"))
        replace_file(self.folder / "catalog.json", catalog)
        self.accepted = read_lines(self._index, Record)
        self.rejected = read_lines(self._reasons, Rejected)

    @property
    def next_index(self) -> int:
        done = [each.index for each in self.accepted] + [each.index for each in self.rejected]
        return max(done, default=-1) + 1

    def place(self, draft: Draft) -> None:
        """Writes the files of a draft that may yet be refused. They need not be whole when the
        process dies: without a line in the index they are written again."""
        write_file(self.folder / draft.record.file, draft.yaml)
        write_file(self.folder / draft.record.smoke_file, draft.task + b"\n")

    def accept(self, record: Record) -> None:
        append_line(self._index, msgspec.json.encode(record))
        self.accepted.append(record)

    def reject(self, draft: Draft, reasons: tuple[str, ...], *, counted: bool) -> None:
        name = Path(draft.record.file).name
        self.discard(draft)
        write_file(self.folder / "rejected" / name, draft.yaml)
        record = draft.record if counted else None
        rejected = Rejected(draft.record.index, f"rejected/{name}", reasons, counted, record)
        append_line(self._reasons, msgspec.json.encode(rejected))
        self.rejected.append(rejected)

    def discard(self, draft: Draft) -> None:
        """Removes what was placed beyond the last one that is wanted."""
        for file in (draft.record.file, draft.record.smoke_file):
            (self.folder / file).unlink(missing_ok=True)

    def fail(self, index: int, reasons: tuple[str, ...]) -> None:
        """A candidate of which nothing could be written."""
        rejected = Rejected(index, None, reasons)
        append_line(self._reasons, msgspec.json.encode(rejected))
        self.rejected.append(rejected)


def read_index(folder: Path) -> list[Record]:
    """The accepted ones. Raises `DefinitionError`."""
    if not (folder / RUN).is_file():
        raise DefinitionError(f"{display(folder)} holds no run of nexau synth agents")
    return read_lines(folder / "index.jsonl", Record)
