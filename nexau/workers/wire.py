"""What a run and its worker processes say to each other: JSON lines through pipes.

A worker has three: its orders (stdin), its reports, and the lines that it makes (stdout).
Standard output of a worker is nothing but whole lines, as of a run in one process, so that whoever
merges them need not decode them.
"""

import os
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from nexau.histogram import Buckets
from nexau.journal.durability import Durability
from nexau.scoring.passk import Scored
from nexau.summary import Counts
from nexau.tasks.assignments import Assignment
from nexau.transports.pipes import pump


class WorkerSettings(Struct, frozen=True):
    """How a worker process is set up, besides its run."""

    log_level: Literal["debug", "info", "warning", "error"] | None = None
    """None leaves logging as the agent's modules leave it."""
    backend: str = "uvloop"
    redact: Literal["all", "known"] = "all"
    """What is taken out of lines and logs, as `nexau rollout --redact`."""
    log_file: str | None = None
    """JSON lines of what is logged are appended there too, where `log_level` is not None."""


class Begin(Struct, frozen=True, tag="begin"):
    """The first order."""

    agent: bytes
    """Pickled: the agent, or the path of its file. Loaded after `main`."""
    main: bytes
    """Pickled, for `multiprocessing.spawn.prepare`."""
    workers: int
    """How many there are."""
    concurrency: int
    seed: int
    retries: int
    emits: tuple[Literal["trajectories", "steps", "events"], ...]
    """Kinds of lines that are wanted."""
    settings: WorkerSettings
    out: str | None = None
    """The directory of a run that is kept."""
    number: int = 0
    """Of the worker, from 1."""
    durability: Durability = Durability()
    grading: bytes = b""
    """Pickled `Graders`; empty: none."""


class Give(Struct, frozen=True, tag="give"):
    """Work, at most as much as was asked for."""

    assignments: list[Assignment]


class Enough(Struct, frozen=True, tag="enough"):
    """There is no more work."""


class Drain(Struct, frozen=True, tag="drain"):
    grace: float | None


class Cancel(Struct, frozen=True, tag="cancel"):
    pass


Order = Begin | Give | Enough | Drain | Cancel


class Up(Struct, frozen=True, tag="up"):
    """Models and servers are open."""


class Want(Struct, frozen=True, tag="want"):
    """So much more work can be taken."""

    count: int


class Progress(Struct, frozen=True, tag="progress"):
    """All that has happened so far; the last one is the whole."""

    counts: Counts
    lag: Buckets
    running: int
    memory: int
    """Bytes, at most so far."""
    scored: list[Scored] = []
    """Since the report before."""


class Failed(Struct, frozen=True, tag="failed"):
    """Why it could not begin, or not go on."""

    kind: Literal["definition", "tools", "journal", "os"]
    message: str
    number: int | None = None
    """Of an OSError."""


class Ended(Struct, frozen=True, tag="ended"):
    """The last report: every line is written."""


Report = Up | Want | Progress | Failed | Ended

encode = msgspec.json.Encoder().encode
decode_order: Callable[[bytes], Order] = msgspec.json.Decoder(Order).decode
decode_report: Callable[[bytes], Report] = msgspec.json.Decoder(Report).decode


async def follow(fd: int, take: Callable[[bytes], Any]) -> None:
    """Calls `take` with each line that arrives, until the end. `fd` becomes non-blocking."""
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            take(line)

    os.set_blocking(fd, False)
    await pump(fd, feed)
