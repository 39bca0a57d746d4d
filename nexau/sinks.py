"""Where trajectories go: each sink is written by an actor with a bounded mailbox."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from nexau.actors import Actor
from nexau.redaction import SECRETS
from nexau.trajectory import Event, Step, Trajectory
from nexau.transports.lines import LineWriter
from nexau.transports.visible import visible_json

Item = Event | Step | Trajectory
Emits = Literal["trajectories", "steps", "events"]


class SinkClosed(Exception):
    """Whoever read this sink has gone; the run ends, without a failure."""


class Sink(Protocol):
    """Takes items in order, one at a time. Waiting in `write` slows the run down."""

    @property
    def emits(self) -> Emits:
        """What it is to be given."""
        ...

    # A sink may also have `write_line(line)`, for an item whose JSON, without secrets, is known.

    async def write(self, item: Item) -> None:
        """Raises `SinkClosed` or `BrokenPipeError` when its reader has gone, and `OSError` when
        it cannot write; either ends the run.
        """
        ...


class LineSink:
    """JSON lines to a `LineWriter`, without secrets (`nexau.redaction`).

    `terminal`: a person may see them, so that what commands a terminal is written as escapes.
    """

    def __init__(
        self, writer: LineWriter, emits: Emits = "trajectories", *, terminal: bool = False
    ) -> None:
        self.writer = writer
        self.emits: Emits = emits
        self._terminal = terminal
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()

    async def write(self, item: Item) -> None:
        await self.write_line(SECRETS.line(self._encoder.encode(item)))

    async def write_line(self, line: bytes) -> None:
        if self._terminal:
            line = visible_json(line.decode()).encode()
        await self.writer.write(line)


class Encoded(Struct, frozen=True, gc=False):
    """A trajectory, and its JSON, without secrets."""

    trajectory: Trajectory
    line: bytes


class Flush:
    """Asked of a sink's actor: answered when all before it is written."""


class SinkActor(Actor):
    def __init__(self, sink: Sink, broken: Callable[[Exception], None]) -> None:
        self.sink = sink
        self._broken = broken
        self._closed = False
        self._write_line: Callable[[bytes], Awaitable[None]] | None = getattr(
            sink, "write_line", None
        )

    async def receive(self, message: Any) -> None:
        if self._closed or isinstance(message, Flush):
            return
        try:
            if not isinstance(message, Encoded):
                await self.sink.write(message)
            elif self._write_line is not None:
                await self._write_line(message.line)
            else:
                await self.sink.write(message.trajectory)
        except (SinkClosed, OSError) as error:
            self._closed = True
            self._broken(error)
