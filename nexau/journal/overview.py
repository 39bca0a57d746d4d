"""What a run's directory tells of the run: its state, its counts, whether it is sound."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.journal.directory import LOCK, MANIFEST, read_manifest
from nexau.journal.files import DiskFiles, Files, Locked
from nexau.journal.ranges import Ranges
from nexau.journal.reading import read_trajectories
from nexau.journal.records import Manifest, Sealed
from nexau.journal.recovery import DAMAGED, numbers, parts, recover
from nexau.journal.segments import TRAJECTORIES, segment_path
from nexau.trajectory import Trajectory

_sealed = msgspec.json.Decoder(Sealed)
_trajectory = msgspec.json.Decoder(Trajectory)


class Counts(Struct):
    """By the indexes of trajectories."""

    ended: int = 0
    """Rollouts, each counted once."""
    attempts: int = 0
    """Trajectories."""
    by_status: dict[str, int] = {}
    """Of final attempts."""
    failures: dict[str, int] = {}
    """Of final attempts, by kind of error."""
    limits: dict[str, int] = {}


class RunState(Struct, frozen=True):
    """One run."""

    path: str
    id: str
    agent: str
    state: str
    """running: a process writes here. complete: all tasks were read and have ended. unfinished:
    `--resume` goes on with it."""
    created_at: float
    resumes: int
    tasks: int
    """Admitted."""
    source_ended: bool
    """Whether these are all."""
    repeat: int
    counts: Counts
    unfinished: int
    """Rollouts of admitted tasks that have not ended."""
    turns_on_record: int
    """Model turns of these, which will not be paid for again."""
    restarts: int
    """Rollouts under way that were begun anew because a server could not be brought back."""
    bytes: int


class Verdict(Struct, frozen=True):
    """What `verify` found."""

    path: str
    sound: bool
    """Nothing that was written is lost or altered. What a death has cut short does no harm."""
    segments: int
    lines: int
    """Trajectories whose checksum is right."""
    problems: list[str]
    notes: list[str]
    """Cut short, to be repaired when the run is gone on with; or set aside before."""


def find_runs(folder: Path) -> list[Path]:
    """The runs in a folder and in those below it, or the folder itself if it is one."""
    if (folder / MANIFEST).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))


def state_of(root: Path, *, files: Files | None = None) -> RunState:
    """Changes nothing. Raises `DefinitionError` for what is no run."""
    files = files or DiskFiles()
    manifest = read_manifest(root, files=files)
    counts = count(files, root)
    found = recover(files, root, manifest.repeat, repair=False)
    places = found.open_places()
    turns = sum(
        type(event).__name__ == "ModelTurn"
        for each in found.unfinished.values()
        for event in each.events
    )
    complete = found.progress.ended and not places
    running = _held(files, root)
    return RunState(
        path=str(root),
        id=manifest.id,
        agent=manifest.agent,
        state="running" if running else "complete" if complete else "unfinished",
        created_at=manifest.created_at,
        resumes=len(manifest.resumes),
        tasks=found.progress.tasks,
        source_ended=found.progress.ended,
        repeat=manifest.repeat,
        counts=counts,
        unfinished=len(places),
        turns_on_record=turns,
        restarts=sum(bool(each.restarts) for each in found.unfinished.values()),
        bytes=_bytes(root),
    )


def _bytes(root: Path) -> int:
    """Of all its files; one may go away meanwhile, where the run goes on."""
    found = 0
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            found += status.st_size if S_ISREG(status.st_mode) else 0
    return found


def count(files: Files, root: Path) -> Counts:
    """By the indexes alone: of a terabyte of trajectories some megabytes are read."""
    ended, found = Ranges(), Counts()
    status: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    limits: Counter[str] = Counter()
    for sealed in _index(files, root):
        found.attempts += 1
        if sealed.final and ended.add(sealed.place):
            status[sealed.status] += 1
            failures[sealed.kind] += bool(sealed.kind)
            limits[sealed.limit] += bool(sealed.limit)
    found.ended = len(ended)
    found.by_status, found.failures, found.limits = dict(status), dict(+failures), dict(+limits)
    return found


def _index(files: Files, root: Path) -> Iterator[Sealed]:
    for folder in (root, *parts(files, root)):
        for number in numbers(files, folder / TRAJECTORIES):
            try:
                index = files.read(segment_path(folder / TRAJECTORIES, number, "index"))
            except FileNotFoundError:
                continue
            for line in index.split(b"\n"):
                try:
                    yield _sealed.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue


def trajectories_of(root: Path, *, files: Files | None = None) -> Iterator[bytes]:
    """The lines of all trajectories whose checksum is right, every attempt, in order of writing."""
    files = files or DiskFiles()
    for folder in (root, *parts(files, root)):
        for number in numbers(files, folder / TRAJECTORIES):
            data, index = _segment(files, folder, number)
            for sealed in read_trajectories(data, index).sealed:
                yield data[sealed.offset : sealed.offset + sealed.length]


def verify(root: Path, *, files: Files | None = None) -> Verdict:
    """Reads all of it against its checksums, and the journal against the trajectories. Changes
    nothing. Raises `DefinitionError` for what is no run.
    """
    files = files or DiskFiles()
    manifest = read_manifest(root, files=files)
    check = _Check(files, root, manifest)
    check.trajectories()
    check.journal()
    return check.verdict()


class _Check:
    def __init__(self, files: Files, root: Path, manifest: Manifest) -> None:
        self._files = files
        self._root = root
        self._manifest = manifest
        self._segments = self._lines = 0
        self._problems: list[str] = []
        self._notes: list[str] = []
        self._ended = Ranges()

    def trajectories(self) -> None:
        for folder in (self._root, *parts(self._files, self._root)):
            for number in numbers(self._files, folder / TRAJECTORIES):
                self._segment(folder, number)

    def _segment(self, folder: Path, number: int) -> None:
        self._segments += 1
        data, index = _segment(self._files, folder, number)
        for sealed in read_trajectories(data, index).sealed:
            self._lines += 1
            line = data[sealed.offset : sealed.offset + sealed.length]
            self._compare(sealed, line)

    def _compare(self, sealed: Sealed, line: bytes) -> None:
        try:
            trajectory = _trajectory.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._problems.append(f"a line is no trajectory: {error}")
            return
        if sealed.place % self._manifest.repeat != trajectory.repeat:
            self._problems.append(f"{trajectory.id}: not the repeat that its index says")
        same = (sealed.attempt, sealed.final, sealed.status)
        if same != (trajectory.attempt, trajectory.final, trajectory.status):
            self._problems.append(f"{trajectory.id}: not what its index says")
        if sealed.final and not self._ended.add(sealed.place):
            self._problems.append(f"{trajectory.id}: a second final trajectory of one rollout")

    def journal(self) -> None:
        found = recover(self._files, self._root, self._manifest.repeat, repair=False)
        for repair in found.repairs:
            (self._notes if ": cut " in repair else self._problems).append(
                repair.replace(": cut ", ": to be cut: ")
            )
        missing = [
            place // self._manifest.repeat
            for place in found.open_places()
            if place // self._manifest.repeat not in found.tasks
        ]
        if missing:
            text = f"{len(set(missing))} tasks have not ended and are not in the journal"
            self._problems.append(f"{text}; they can be read again from their source")
        held = self._files.names(self._root / DAMAGED)
        if held:
            self._notes.append(f"{DAMAGED}/ holds {len(held)} files that were set aside before")

    def verdict(self) -> Verdict:
        return Verdict(
            str(self._root), not self._problems, self._segments, self._lines,
            self._problems, self._notes,
        )  # fmt: skip


def _segment(files: Files, folder: Path, number: int) -> tuple[bytes, bytes]:
    parts_ = []
    for suffix in ("jsonl", "index"):
        try:
            parts_.append(files.read(segment_path(folder / TRAJECTORIES, number, suffix)))
        except FileNotFoundError:
            parts_.append(b"")
    return parts_[0], parts_[1]


def _held(files: Files, root: Path) -> bool:
    if LOCK not in files.names(root):
        return False
    try:
        handle = files.lock(root / LOCK)
    except Locked:
        return True
    except OSError as error:
        raise DefinitionError(f"{root}: {error.strerror}") from None
    files.close(handle)
    return False
