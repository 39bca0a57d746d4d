"""The files of a run directory while a run writes them: batches in, segments out.

Synchronous: `nexau.journal.keeper` decides when, and what may wait for what.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from zlib_ng.zlib_ng import crc32

from nexau.journal.files import Appender, Files
from nexau.journal.records import Progress, checksum, encoder, seal_batch
from nexau.secrets.redaction import SECRETS
from nexau.trajectory import Trajectory

JOURNAL = "journal"
TRAJECTORIES = "trajectories"
TOGETHER = 1 << 16
"""Bytes of trajectories that are handed on in one piece, where they are alike."""
SEGMENT = 64 << 20
"""Bytes from which a file is continued in the next one."""


class Finished(Struct, gc=False):
    """A trajectory on its way into its segment."""

    line: bytes
    """As JSON, without secrets."""
    crc: int
    """CRC-32 of the line."""
    place: int
    attempt: int
    final: bool
    status: str
    kind: str
    """Of the error, where it failed."""
    limit: str
    trajectory: Trajectory | None
    """Where somebody wants more of it than its line."""


def finished(place: int, trajectory: Trajectory, line: bytes, *, whole: bool) -> Finished:
    error, limit = trajectory.error, trajectory.limit
    return Finished(
        line,
        crc32(line),  # now, while it is in the processor's cache
        place,
        trajectory.attempt,
        trajectory.final,
        trajectory.status,
        error.kind if error is not None else "",
        limit.rpartition(": ")[2] if limit is not None else "",
        trajectory if whole else None,
    )


class Block(Struct, gc=False):
    """Trajectories that are handed on in one piece."""

    data: bytes
    """Their lines, each with its newline."""
    trajectories: list[Trajectory | None]
    """Those of which somebody wants more."""


def segment_path(folder: Path, number: int, suffix: str = "jsonl") -> Path:
    return folder / f"{number:06d}.{suffix}"


def in_groups(done: list[Finished]) -> Iterator[list[Finished]]:
    """Of `TOGETHER` bytes each, or so, in order."""
    size = sum([len(item.line) for item in done])
    count = max(1, TOGETHER * len(done) // max(1, size))
    for start in range(0, len(done), count):
        yield done[start : start + count]


class JournalFiles:
    """The journal's segments: the one being written, and the older ones still needed."""

    def __init__(self, files: Files, root: Path, *, size: int = SEGMENT) -> None:
        self._files = files
        self._folder = root / JOURNAL
        self._size = size
        numbers = [int(name[:6]) for name in files.names(self._folder) if name[:6].isdigit()]
        self._oldest = min(numbers, default=1)
        self._number = max(numbers, default=1)
        self._file = Appender(files, segment_path(self._folder, self._number))
        self._live: dict[int, int] = {}
        """Rollouts that have not ended, with the first segment that tells of them."""

    @property
    def file(self) -> Appender:
        return self._file

    @property
    def bytes(self) -> int:
        return self._file.size

    def began(self, places: Iterable[int]) -> None:
        live, number = self._live, self._number
        for place in places:
            live.setdefault(place, number)

    def ended(self, places: Iterable[int]) -> None:
        live = self._live
        for place in places:
            live.pop(place, None)

    def due(self) -> bool:
        return self._file.size >= self._size

    def rotate(self, progress: Progress) -> None:
        """Goes on in a new segment, and removes those that no live rollout needs.

        The trajectories of rollouts that have ended must have been synced.
        """
        head = encoder.encode(progress) + b"\n"
        fresh = Appender(self._files, segment_path(self._folder, self._number + 1))
        try:
            fresh.append(seal_batch(head, 1))
            fresh.sync()
        except OSError:
            fresh.close()
            raise
        self._file.close()
        self._file = fresh
        self._number += 1
        needed = min(self._live.values(), default=self._number)
        while self._oldest < needed:
            self._files.remove(segment_path(self._folder, self._oldest))
            self._oldest += 1

    def close(self) -> None:
        self._file.close()


class TrajectoryFiles:
    """Segments of trajectories, each with its index."""

    def __init__(self, files: Files, root: Path, *, size: int = SEGMENT) -> None:
        self._files = files
        self._folder = root / TRAJECTORIES
        self._size = size
        numbers = [int(name[:6]) for name in files.names(self._folder) if name[:6].isdigit()]
        self._number = max(numbers, default=1)
        self._open()

    def _open(self) -> None:
        self.data = Appender(self._files, segment_path(self._folder, self._number))
        self.index = Appender(self._files, segment_path(self._folder, self._number, "index"))

    def pieces(self, done: list[Finished]) -> tuple[list[Block], bytes]:
        """What is to be appended to the segment, and then to its index."""
        blocks: list[Block] = []
        entries: list[tuple[object, ...]] = []
        """Each `Sealed` as the tuple that it is encoded as."""
        offset = self.data.size
        for group in in_groups(done):
            for item in group:
                said = (item.place, item.attempt, item.final, item.status, item.kind, item.limit)
                size = len(item.line)
                entries.append((offset, size, checksum(item.crc, *said), *said))
                offset += size + 1
            data = b"\n".join([*[item.line for item in group], b""])
            blocks.append(Block(data, [item.trajectory for item in group]))
        return blocks, encoder.encode_lines(entries)

    def rotate_if_due(self) -> None:
        if self.data.size < self._size:
            return
        self.sync()
        self.close()
        self._number += 1
        self._open()

    def sync(self) -> None:
        """The lines before the index that vouches for them."""
        for file in (self.data, self.index):
            if file.dirty:
                file.sync()

    def close(self) -> None:
        self.data.close()
        self.index.close()


class Batch:
    """One group commit: pieces that are written in order, each whole or not at all."""

    def __init__(self) -> None:
        self.pieces: deque[tuple[Appender, bytes]] = deque()
        self.blocks: list[Block] = []
        """To be handed on once all pieces are written."""
        self.ended: list[int] = []
        """Rollouts that are over with it."""
        self.entries = 0

    def write(self) -> None:
        """Raises OSError; called again it goes on where it stopped."""
        while self.pieces:
            file, data = self.pieces[0]
            file.append(data)
            self.pieces.popleft()


def make_batch(
    lines: bytes,
    count: int,
    done: list[Finished],
    journal: JournalFiles,
    trajectories: TrajectoryFiles,
) -> Batch:
    """The journal comes first: a trajectory that its index lacks is sealed again from it."""
    batch = Batch()
    batch.entries = count
    if count:
        batch.pieces.append((journal.file, seal_batch(_clean(lines), count)))
    if done:
        batch.ended = [item.place for item in done if item.final]
        batch.blocks, index = trajectories.pieces(done)
        batch.pieces += [(trajectories.data, block.data) for block in batch.blocks]
        batch.pieces.append((trajectories.index, index))
    return batch


def _clean(lines: bytes) -> bytes:
    """Without secrets: what a resumed agent is shown again is shown without them."""
    if SECRETS.line(lines) is lines:
        return lines
    return b"".join(SECRETS.line(line) for line in lines.splitlines(keepends=True))
