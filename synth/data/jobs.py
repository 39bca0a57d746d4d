"""What the passes over files do to each line, for one process or for several.

A job takes lines, and gives bytes to write and counts. Alone it goes line by line; with others it
takes a piece of whole lines (`nexau.synth.data.parallel`) and what it gives is put in their order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, field

from nexau.definitions.values import DefinitionError
from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.checks.rule import Finding
from nexau.synth.data.checks.rules import RULES, Checker
from nexau.synth.data.convert import Options
from nexau.synth.data.export import Exporter, Quarantined, Totals
from nexau.synth.data.formats.registry import format_of
from nexau.synth.data.outline import Outline, Outliner
from nexau.synth.data.parallel import Chunk
from nexau.synth.data.spoken import AnyTrajectory
from nexau.synth.data.stream import Line, decoded, nothing_in
from nexau.synth.nearduplicates import NearDuplicates
from nexau.trajectory import Trajectory

_CROWD = 256
"""Tasks of one pattern with which each is compared, at most."""
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class Done(Struct, Generic[T]):
    """What came of a piece."""

    made: T
    found: int
    """Trajectories."""
    error: str | None = None
    """What was wrong with the line after them; nothing after it was looked at."""


def whole(parts: Iterable[Done[T]], files: list[Path], *, strict: bool = True) -> Iterator[T]:
    """What was made of each piece. Raises `DefinitionError` as reading line by line does."""
    found = 0
    for part in parts:
        found += part.found
        yield part.made
        if part.error is not None:
            raise DefinitionError(part.error)
    if strict and not found:
        raise nothing_in(files)


class Faulty(Struct, frozen=True):
    """A line of what `check-data` prints."""

    id: str
    file: str
    line: int
    hard: bool
    findings: list[Finding]


class Checked(Struct):
    """What checking found, and counted."""

    lines: list[bytes] = field(default_factory=list)
    """`Faulty`, encoded, with newlines."""
    kept: list[bytes] = field(default_factory=list)
    """The lines of trajectories without a hard fault."""
    seen: int = 0
    hard: int = 0
    scored: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    """Trajectories, by rule."""
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Checked") -> None:
        """Its counts."""
        self.seen += other.seen
        self.hard += other.hard
        self.scored += other.scored
        self.rules.update(other.rules)
        self.examples = other.examples | self.examples


class CheckJob:
    """`keep` is whether the lines that pass are wanted."""

    def __init__(
        self, limits: Limits, names: frozenset[str], *, keep: bool, duplicates: bool = False
    ) -> None:
        self._checker = Checker(limits, [rule for rule in RULES if rule.name in names])
        self._keep = keep
        self._near = NearDuplicates(0.8, crowd=_CROWD) if duplicates else None
        self._first: list[str] = []

    def __call__(self, chunk: Chunk) -> Done[Checked]:
        made = Done(Checked(), 0)
        try:
            for line in decoded(chunk.lines(), chunk.name, Trajectory, chunk.number):
                made.found += 1
                self.line(line, made.made)
        except DefinitionError as error:
            made.error = str(error)
        return made

    def line(self, line: Line[Trajectory], made: Checked) -> None:
        """Adds one line to what was made of those before."""
        found = self._checker.check(line.trajectory)
        if self._near is not None:
            found += self._duplicate(self._near, line.trajectory)
        hard = any(finding.weight == "hard" for finding in found)
        made.seen += 1
        made.hard += hard
        if found:
            made.scored += not hard
            for finding in found:
                made.examples.setdefault(finding.rule, finding.text)
            made.rules.update({finding.rule for finding in found})
            faulty = Faulty(line.trajectory.id, line.file, line.number, hard, found)
            made.lines.append(_encode(faulty) + b"\n")
        if self._keep and not hard:
            made.kept.append(line.data if line.data.endswith(b"\n") else line.data + b"\n")

    def _duplicate(self, near: NearDuplicates, trajectory: Trajectory) -> list[Finding]:
        """Repeats of one task are no duplicates of each other."""
        if trajectory.repeat or trajectory.attempt:
            return []
        like = near.add(trajectory.input)
        if like is not None:
            text = f"nearly the task of {self._first[like]}"
            return [Finding("near_duplicate", "score", text, path="input")]
        self._first.append(trajectory.id)
        return []


class Exported(Struct):
    records: list[bytes]
    """Without newlines."""
    refused: list[Quarantined]
    totals: Totals


class ExportJob:
    def __init__(self, name: str, options: Options, statuses: tuple[str, ...]) -> None:
        self.exporter = Exporter(format_of(name), options, statuses=statuses)

    def __call__(self, chunk: Chunk) -> Done[Exported]:
        exporter = self.exporter
        exporter.totals = Totals()
        lines: list[Line[AnyTrajectory]] = []
        refused: list[Quarantined] = []
        error: str | None = None
        try:
            # What was there before a line that is wrong stays in the list.
            lines.extend(decoded(chunk.lines(), chunk.name, exporter.kind, chunk.number))
        except DefinitionError as wrong:
            error = str(wrong)
        records = list(exporter.run(lines, refused.append))
        return Done(Exported(records, refused, exporter.totals), len(lines), error)


class MeasureJob:
    def __init__(self, *, strict: bool) -> None:
        self._outliner = Outliner()
        self._strict = strict

    def __call__(self, chunk: Chunk) -> Done[list[Outline]]:
        made: Done[list[Outline]] = Done([], 0)
        try:
            for line in decoded(
                chunk.lines(), chunk.name, Trajectory, chunk.number, strict=self._strict
            ):
                made.found += 1
                if line.trajectory.final:
                    made.made.append(self._outliner.of(line.trajectory))
        except DefinitionError as error:
            made.error = str(error)
        return made
