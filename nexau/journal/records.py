"""What stands in a run directory: the manifest, the journal's lines, the index of trajectories.

A journal is JSON lines of arrays whose first item says what they are. They come in batches, and
the last line of a batch holds the checksum of those before it.
"""

from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct
from zlib_ng.zlib_ng import crc32

from nexau.trajectory import Event

FORMAT = "nexau-run/1"
"""Version of everything here. Readers of version 1 accept every minor addition."""


class Kept(Struct, array_like=True, tag="event", frozen=True, gc=False):
    """An event of an attempt that was under way."""

    place: int
    """Rollouts in the order of their tasks, from 0: task * repeats + repeat."""
    attempt: int
    index: int
    """Among the attempt's events that are kept, from 0: `seq` also counts what only listeners get.
    """
    event: Event


class Attempt(Protocol):
    """What has events for the journal."""

    def take(self) -> list[Any]:
        """Its events that were not taken before, as records."""
        ...


class Admitted(Struct, array_like=True, tag="task", frozen=True, gc=False):
    """A task as it was read from its source."""

    number: int
    """Of the task in its source, from 0."""
    chain: int
    """CRC-32 of this and all tasks before it, as they were encoded."""
    task: Raw


class Cut(Struct, array_like=True, tag="cut", frozen=True, gc=False):
    """Where an attempt is taken up again: its events from `index` on that stand before this line do
    not count any more.
    """

    place: int
    attempt: int
    index: int
    at: float
    """Seconds since the Unix epoch."""
    reason: str = ""
    """Why it was begun anew, where it was."""


class Progress(Struct, array_like=True, tag="progress", frozen=True, gc=False):
    """How far the source was read. At the head of each segment, and where the source ends."""

    tasks: int
    chain: int
    ended: bool


class Sum(Struct, array_like=True, tag="sum", frozen=True, gc=False):
    """Ends a batch."""

    crc: int
    """CRC-32 of the lines of the batch, with their newlines."""
    lines: int


Record = Kept | Admitted | Cut | Progress


class Sealed(Struct, array_like=True, frozen=True, gc=False):
    """A line of an index: where a trajectory stands, and what it is."""

    offset: int
    """Bytes from the beginning of its segment."""
    length: int
    """Without the newline."""
    crc: int
    """CRC-32 of the line and of what stands here after this: see `checksum`."""
    place: int
    attempt: int
    final: bool
    status: str
    kind: str = ""
    """Of the error, where it failed."""
    limit: str = ""


def checksum(
    line: bytes, place: int, attempt: int, final: bool, status: str, kind: str, limit: str
) -> int:
    """Of a trajectory's line together with what its index says of it."""
    said = f"{place} {attempt} {'1' if final else '0'} {status} {kind} {limit}"
    return crc32(said.encode(), crc32(line))


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`run.json`: what was asked for, and with what."""

    format: str
    id: str
    created_at: float
    """Seconds since the Unix epoch."""
    agent: str
    """Name of the root definition."""
    agent_file: str | None = None
    tasks: str
    """The source: a path, `-` for stdin, or `iterable`."""
    concurrency: int
    repeat: int
    seed: int
    retries: int
    limit: int | None = None
    arguments: dict[str, Any] = {}
    """Of the command line."""
    versions: dict[str, str] = {}
    files: dict[str, str] = {}
    """SHA-256 of the agent file and of all that it refers to, by their path from its folder."""
    definition: str = ""
    """SHA-256 of the definition, which covers agents made in code."""
    tools: str = ""
    """SHA-256 of the tools as the agents were offered them; empty until servers were up."""
    resumes: tuple["Resume", ...] = ()
    parts: int = 0
    """Of a run by several workers: how many directories `worker-N` it has."""


class Resume(Struct, frozen=True, omit_defaults=True):
    """One continuation of a run."""

    at: float
    versions: dict[str, str] = {}
    accepted: tuple[str, ...] = ()
    """Changes that were accepted."""


encoder = msgspec.json.Encoder()


def seal_batch(lines: bytes, count: int) -> bytes:
    return lines + encoder.encode(Sum(crc32(lines), count)) + b"\n"


_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)


def lines_of(records: list[Any]) -> tuple[bytes, int]:
    """As lines, and how many there are: what cannot be JSON is left out, and its rollout is resumed
    from before it.
    """
    try:
        return encoder.encode_lines(records), len(records)
    except _UNENCODABLE:
        records = [each for each in records if _encodes(each)]
        return encoder.encode_lines(records), len(records)


def _encodes(record: Any) -> bool:
    try:
        encoder.encode(record)
    except _UNENCODABLE:
        return False
    return True
