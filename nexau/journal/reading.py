"""Reading what a run directory holds, believing nothing that its checksum does not bear out."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from zlib_ng.zlib_ng import crc32

from nexau.journal.records import Record, Sealed, Sum, checksum

_MARK = b'["sum",'
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_records: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Record)
_sum = msgspec.json.Decoder(Sum)
_sealed = msgspec.json.Decoder(Sealed)


class Damage(Struct, frozen=True):
    """Bytes of a file whose checksum is wrong."""

    start: int
    end: int


class Findings(Struct):
    """What a file was found to be."""

    whole: int = 0
    """Bytes up to the end of the last piece that was written whole."""
    torn: int = 0
    """Bytes after them: a piece that was being written."""
    damaged: list[Damage] = []
    pieces: int = 0
    """Batches of a journal, lines of a segment of trajectories, whose checksums are right."""

    @property
    def sound(self) -> bool:
        return not self.damaged


def read_journal(data: bytes, take: Callable[[Record], None]) -> Findings:
    """Gives the records of every batch whose checksum is right to `take`, in order."""
    found = Findings()
    start = 0
    while start < len(data):
        mark = _mark(data, start)
        end = data.find(b"\n", mark) if mark >= 0 else -1
        if end < 0:
            break
        lines = data[start:mark]
        if _is_sum(data[mark:end], lines):
            _give(lines, take)
            found.pieces += 1
        else:
            found.damaged.append(Damage(start, end + 1))
        start = end + 1
    found.whole, found.torn = start, len(data) - start
    return found


def _mark(data: bytes, start: int) -> int:
    """Where the next line with a checksum begins; -1 where there is none."""
    if data.startswith(_MARK, start):
        return start
    at = data.find(b"\n" + _MARK, start)
    return at + 1 if at >= 0 else -1


def _is_sum(line: bytes, lines: bytes) -> bool:
    try:
        end = _sum.decode(line)
    except _BAD:
        return False
    return end.crc == crc32(lines) and end.lines == lines.count(b"\n")


def _give(lines: bytes, take: Callable[[Record], None]) -> None:
    for line in lines.split(b"\n"):
        if not line:
            continue
        try:
            record = _records.decode(line)
        except _BAD:
            continue  # of a later minor version: the checksum says that it was meant so
        take(record)


class Trajectories(Struct):
    """A segment of trajectories, compared with its index."""

    sealed: list[Sealed] = []
    """Whose lines are sound."""
    bad: list[Sealed] = []
    """Whose lines are not what they were."""
    end: int = 0
    """Bytes of the segment that its index covers."""
    torn: int = 0
    """Bytes of the segment after them."""
    index_end: int = 0
    """Bytes of the index that could be read."""
    index_torn: int = 0
    illegible: int = 0
    """Lines of the index, before its last, that could not be read."""

    @property
    def sound(self) -> bool:
        return not self.bad and not self.illegible


def read_trajectories(data: bytes, index: bytes) -> Trajectories:
    found = Trajectories()
    start = 0
    while (end := index.find(b"\n", start)) >= 0:
        try:
            sealed = _sealed.decode(index[start:end])
        except _BAD:
            found.illegible += 1
        else:
            _sort(sealed, data, found)
        start = end + 1
    found.index_end, found.index_torn = start, len(index) - start
    found.end = min(found.end, len(data))
    found.torn = len(data) - found.end
    return found


def _sort(sealed: Sealed, data: bytes, found: Trajectories) -> None:
    end = sealed.offset + sealed.length
    crc = checksum(
        crc32(data[sealed.offset : end]),
        sealed.place,
        sealed.attempt,
        sealed.final,
        sealed.status,
        sealed.kind,
        sealed.limit,
    )
    sound = data[end : end + 1] == b"\n" and crc == sealed.crc
    (found.sealed if sound else found.bad).append(sealed)
    if end < len(data):
        found.end = max(found.end, end + 1)
