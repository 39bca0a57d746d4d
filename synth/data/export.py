"""One streaming pass from trajectories to a training format, every record read back.

A record that does not come back as what the format holds, or cannot be written, is quarantined with
the reason; nothing else is left out in silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from nexau.synth.data.conversation import Unfit, difference, equal
from nexau.synth.data.convert import Options, ToolTables, parts, pieces
from nexau.synth.data.formats.base import Format, Head
from nexau.synth.data.formats.rollouts import RolloutFormat
from nexau.synth.data.spoken import AnyTrajectory, Spoken
from nexau.synth.data.stream import Advance, Line, spoken, trajectories
from nexau.synth.lineage import bytes_id
from nexau.trajectory import Trajectory

Made = tuple[str, bytes, str | None]
"""The id of a record, the record, and why it is not to be written, if so."""


class Quarantined(Struct, frozen=True, omit_defaults=True):
    """A record that was not written, and why."""

    id: str
    format: str
    reason: str
    file: str
    line: int
    lineage: str = ""


class Totals(Struct):
    """What became of the trajectories."""

    trajectories: int = 0
    left: int = 0
    """Passed over: not final, or of another status than asked for."""
    records: int = 0
    quarantined: int = 0
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    """The first words of each."""

    def add(self, other: "Totals") -> None:
        self.trajectories += other.trajectories
        self.left += other.left
        self.records += other.records
        self.quarantined += other.quarantined
        self.reasons.update(other.reasons)


class Exporter:
    """Writes one format. `read_back` False does not read back, to measure what that costs."""

    def __init__(
        self,
        format_: Format | RolloutFormat,
        options: Options,
        *,
        statuses: tuple[str, ...] = (),
        read_back: bool = True,
    ) -> None:
        self.totals = Totals()
        self.name = format_.name
        self._format = format_
        self._options = options
        self._statuses = frozenset(statuses)
        self._read_back = read_back
        self._tables = ToolTables()
        quick = getattr(type(format_), "quick", Format.quick)
        self._quickly = read_back and not options.flattened and quick is not Format.quick

    @property
    def kind(self) -> type[AnyTrajectory]:
        """As much of a trajectory as the format needs."""
        return Trajectory if isinstance(self._format, RolloutFormat) else Spoken

    def read(
        self, files: list[Path], advance: Advance | None = None
    ) -> Iterator[Line[AnyTrajectory]]:
        """The trajectories of files, as that `kind`."""
        if self.kind is Trajectory:
            return trajectories(files, advance)
        return spoken(files, advance)

    def run(
        self, lines: Iterable[Line[AnyTrajectory]], refuse: Callable[[Quarantined], object]
    ) -> Iterator[bytes]:
        """Records as lines without newlines; what is quarantined goes to `refuse`."""
        one = self._format
        for line in lines:
            trajectory = line.trajectory
            if not trajectory.final or (self._statuses and trajectory.status not in self._statuses):
                self.totals.left += 1
                continue
            self.totals.trajectories += 1
            lineage = bytes_id("rollout", line.data)
            if isinstance(one, RolloutFormat):
                assert isinstance(trajectory, Trajectory)
                made: Iterable[Made] = self._whole(one, trajectory, lineage)
            else:
                made = self._pieces(one, trajectory, lineage)
            for identity, record, reason in made:
                if reason is not None:
                    self._refused(reason)
                    refuse(Quarantined(identity, one.name, reason, line.file, line.number, lineage))
                    continue
                for each in record.split(b"\n"):
                    self.totals.records += 1
                    yield each

    def _refused(self, reason: str) -> None:
        self.totals.quarantined += 1
        kind = " ".join(reason.split(": ", 1)[-1].split()[:6])
        if len(self.totals.reasons) < 1000 or kind in self.totals.reasons:
            self.totals.reasons[kind] += 1

    def _whole(self, one: RolloutFormat, trajectory: Trajectory, lineage: str) -> Iterator[Made]:
        head = Head(trajectory.id, lineage, trajectory.reward)
        if self._read_back and (quick := one.quick(trajectory, head)) is not None:
            yield trajectory.id, quick, None
            return
        try:
            record = one.write(trajectory, head)
            reason = one.compare(record, trajectory) if self._read_back else None
        except Unfit as unfit:
            record, reason = b"", str(unfit)
        yield trajectory.id, record, reason

    def _pieces(self, one: Format, trajectory: AnyTrajectory, lineage: str) -> Iterable[Made]:
        if self._quickly and (quick := self._quick(one, trajectory, lineage)) is not None:
            return quick
        return self._slowly(one, trajectory, lineage)

    def _quick(self, one: Format, trajectory: AnyTrajectory, lineage: str) -> list[Made] | None:
        """All records of a trajectory that has nothing out of the common."""
        made: list[Made] = []
        for part in parts(trajectory, self._tables):
            head = Head(_identity(trajectory, part.path), lineage, trajectory.reward)
            record = one.quick(part.steps, part.tools, head, self._options)
            if record is None:
                return None
            made.append((head.id, record, None))
        return made

    def _slowly(self, one: Format, trajectory: AnyTrajectory, lineage: str) -> Iterator[Made]:
        try:
            found = list(pieces(trajectory, self._tables, self._options))
        except Unfit as unfit:
            yield trajectory.id, b"", str(unfit)
            return
        for part in found:
            identity = _identity(trajectory, part.path)
            record, reason = b"", None
            try:
                held = one.fit(part.conversation)
                record = one.write(held, Head(identity, lineage, trajectory.reward))
                if self._read_back:
                    back = one.read(record)
                    if not equal(held, back):
                        reason = f"read back: {difference(held, back)}"
            except Unfit as unfit:
                reason = str(unfit)
            yield identity, record, reason


def _identity(trajectory: AnyTrajectory, path: str) -> str:
    """Of a record: the rollout's, and the agent's path where it is not the root's."""
    return trajectory.id if path in ("root", "") else f"{trajectory.id}@{path}"
