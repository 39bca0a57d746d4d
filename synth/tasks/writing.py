"""Tasks into a file, in the order of their numbers; a run that was killed goes on."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import Task
from nexau.synth.folders import replace_file
from nexau.synth.lineage import Lineage, carried
from nexau.synth.nearduplicates import NearDuplicates
from nexau.synth.tasks.acceptance import Verdict
from nexau.synth.tasks.generate import Made

SAME = 0.85
"""Jaccard similarity of word triples from which on two requests are one."""
DUPLICATE = "near-duplicate of an earlier task"

_encoder = msgspec.json.Encoder()


class Report(Struct):
    """What was made, and what was refused on the way."""

    accepted: int = 0
    numbers: int = 0
    """Numbers that were tried; some may have given no task."""
    tries: int = 0
    refused: dict[str, int] = {}
    """Tries by the reason that ended them."""
    deletions: int = 0
    """Plans with one step left out that were played."""
    perturbations: int = 0
    """Plans with one argument changed."""
    equivalent: int = 0
    """Of both, those that led to the same final state and answer."""
    unwritten: dict[str, int] = {}
    """Requests that a model could not word, and that have the grammar's words, by the reason."""
    by_writer: dict[str, int] = {}
    by_kind: dict[str, int] = {}
    by_shape: dict[str, int] = {}
    by_difficulty: dict[str, int] = {}
    mean_steps: float = 0.0

    @property
    def rate(self) -> float:
        """Share of the tries that gave a task."""
        return self.accepted / self.tries if self.tries else 0.0


class Note(Struct, frozen=True, omit_defaults=True):
    """What came before a number's task, or in its place: a line of `rejected/`."""

    number: int
    refused: dict[str, int] = {}
    input: str = ""
    """Of a near-duplicate."""
    accepted: bool = False
    """A later try gave the number a task, with these variants of its plan."""
    deletions: int = 0
    perturbations: int = 0
    equivalent: int = 0
    unwritten: str = ""


_notes = msgspec.json.Decoder(Note)


class Writer:
    """Puts tasks in order into a file of JSON lines; refuses near-duplicates."""

    def __init__(self, out: Path | None, emit: Callable[[str], None]) -> None:
        """Lines go to `out`, or where there is none, to `emit`."""
        self.report = Report()
        self.next_number = 0
        self._out = out
        self._emit = emit
        self._rejected = out and out.parent / "rejected" / out.name
        self._texts = NearDuplicates(SAME)
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("kind", "shape", "difficulty", "writer")
        }
        self._steps = 0

    def resume(self, label: str, options: Mapping[str, Any]) -> int:
        """Takes in what the file holds, cuts a torn last line, and returns how many tasks it has.

        Raises `ValueError` for a line that is no task of this command, or one of another run: of
        other sources than `label`, or with other `options`.
        """
        if self._out is None or not self._out.exists():
            self._recall()
            return 0
        data = self._out.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self._out.write_bytes(whole)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                task = msgspec.json.decode(line, type=Task)
                made = carried(task.metadata)
                if made is None:
                    raise KeyError("lineage")
                self.next_number = int(made.made["number"]) + 1
                fault = _other_run(made, label, options)
            except (msgspec.DecodeError, KeyError) as error:
                text = f"{self._out}:{number}: not a task that this command wrote: {error}"
                raise ValueError(text) from None
            if fault:
                text = f"{self._out} was begun with {fault}; give that, or another --out"
                raise ValueError(text)
            self._texts.add(_told(task))
            self._count(task)
        self.report.numbers = self.next_number
        self._recall()
        return self.report.accepted

    def _recall(self) -> None:
        """Counts what was refused before; numbers after the last task are tried again."""
        if self._rejected is None or not self._rejected.exists():
            return
        data, kept = self._rejected.read_bytes(), 0
        for line in data.splitlines(keepends=True):
            try:
                note = _notes.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break  # torn
            if note.number >= self.next_number or not line.endswith(b"\n"):
                break
            self._tally(note)
            kept += len(line)
        if kept < len(data):
            replace_file(self._rejected, data[:kept])

    def take(self, made: Made) -> bool:
        """Writes the task of the next number, if it has one; tells whether it did."""
        report = self.report
        report.numbers += 1
        self.next_number = made.number + 1
        task, refused = made.task, made.refused
        duplicate = task is not None and self._texts.add(_told(task)) is not None
        if duplicate:
            refused = {**refused, DUPLICATE: refused.get(DUPLICATE, 0) + 1}
        accepted = task is not None and not duplicate
        verdict = made.verdict if accepted else Verdict()
        self._note(
            Note(
                made.number,
                refused,
                task.input if task is not None and duplicate else "",
                accepted,
                verdict.deletions,
                verdict.perturbations,
                verdict.equivalent,
                made.unwritten if accepted else "",
            )
        )
        if task is None or duplicate:
            return False
        line = _encoder.encode(task)
        if self._out is None:
            self._emit(line.decode())
        else:
            with self._out.open("ab") as lines:
                lines.write(line + b"\n")
        self._count(task)
        return True

    def _note(self, note: Note) -> None:
        """Before the task itself: a number whose task is in the file has its note."""
        self._tally(note)
        if self._rejected is None or not (note.refused or note.deletions or note.unwritten):
            return
        self._rejected.parent.mkdir(exist_ok=True)
        with self._rejected.open("ab") as lines:
            lines.write(_encoder.encode(note) + b"\n")

    def _tally(self, note: Note) -> None:
        report = self.report
        report.tries += sum(note.refused.values())
        for reason, count in note.refused.items():
            report.refused[reason] = report.refused.get(reason, 0) + count
        report.deletions += note.deletions
        report.perturbations += note.perturbations
        report.equivalent += note.equivalent
        if note.unwritten:
            report.unwritten[note.unwritten] = report.unwritten.get(note.unwritten, 0) + 1

    def _count(self, task: Task) -> None:
        report, about = self.report, task.metadata
        report.accepted += 1
        report.tries += 1
        self._counts["kind"][str(about["type"][2])] += 1
        self._counts["shape"][str(about["shape"])] += 1
        self._counts["difficulty"][str(about["difficulty"])] += 1
        self._counts["writer"][str(about.get("writer", "grammar"))] += 1
        report.by_writer = dict(self._counts["writer"].most_common())
        report.by_kind = dict(self._counts["kind"].most_common())
        report.by_shape = dict(self._counts["shape"].most_common())
        report.by_difficulty = dict(self._counts["difficulty"].most_common())
        self._steps += len({key.partition(".")[0] for key in about["arguments"]})
        report.mean_steps = round(self._steps / report.accepted, 2)


def _other_run(made: Lineage, label: str, options: Mapping[str, Any]) -> str:
    """How the run that made a task was asked for otherwise; empty where it was not."""
    of = made.name.rpartition("-")[0]
    if of != label:
        return f"tasks of {of}, not {label}"
    for name, value in options.items():
        if made.made.get(name) != value:
            return f"--{name} {made.made.get(name)}, not {value}"
    return ""


def _told(task: Task) -> str:
    """All that the user says."""
    later: Iterable[str] = () if task.user is None else [each.say for each in task.user.says]
    return " ".join([task.input, *later])
