"""What stands in a run directory: the manifest, the journal's lines, the index of trajectories.

A journal is JSON lines of arrays whose first item says what they are. They come in batches, and
the last line of a batch holds the checksum of those before it.
"""

from itertools import takewhile
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct
from zlib_ng.zlib_ng import crc32

from nexau.trajectory import CallResult, Event

FORMAT = "nexau-run/2"
"""Version of everything here. Readers of a version accept every minor addition to it."""
READ = ("nexau-run/1", FORMAT)
"""Formats that can be read and gone on with."""

Brief = tuple[float, int, str, str | CallResult]
"""A `Called` or `Returned` without what its attempt's events before it say already: `at`, `seq`,
`agent`, and the id of the call, or the result.
"""


class Events(Struct, array_like=True, tag="events", frozen=True, gc=False):
    """What an attempt that was under way has done from one batch to the next."""

    place: int
    """Rollouts in the order of their tasks, from 0: task * repeats + repeat."""
    attempt: int
    index: int
    """Of the first among the attempt's events that are kept, from 0: `seq` also counts what only
    listeners get.
    """
    events: list[Event | Brief]


class Kept(Struct, array_like=True, tag="event", frozen=True, gc=False):
    """As `Events`, of one event: what format 1 has in their place."""

    place: int
    attempt: int
    index: int
    event: Event


class Attempt(Protocol):
    """What has events for the journal."""

    def take(self) -> tuple[Any, ...]:
        """Those that were not taken before, as the tuple that an `Events` is encoded as."""
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


Record = Events | Kept | Admitted | Cut | Progress


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
    line: int, place: int, attempt: int, final: bool, status: str, kind: str, limit: str
) -> int:
    """Of a trajectory's line, whose CRC-32 is given, together with what its index says of it."""
    said = f"{place} {attempt} {'1' if final else '0'} {status} {kind} {limit}"
    return crc32(said.encode(), line)


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
        lines = [line for record in records if (line := _line(record))]
        return b"".join(lines), len(lines)


def _line(record: Any) -> bytes:
    """Empty where nothing of it can be encoded; of events, those before the first that cannot."""
    if type(record) is tuple and record[0] == "events":
        record = (*record[:4], [*takewhile(_encodes, record[4])])
        return encoder.encode(record) + b"\n" if record[4] else b""
    return encoder.encode(record) + b"\n" if _encodes(record) else b""


def _encodes(value: Any) -> bool:
    try:
        encoder.encode(value)
    except _UNENCODABLE:
        return False
    return True
