"""Where trajectories go: each sink is written by an actor with a bounded mailbox."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio
import msgspec
from msgspec import Struct

from nexau.actors import Actor
from nexau.output.spilling import SpillQueue
from nexau.secrets.redaction import SECRETS
from nexau.trajectory import Event, Step, Trajectory
from nexau.transports.lines import LineWriter
from nexau.transports.visible import visible_json

Item = Event | Step | Trajectory
Emits = Literal["trajectories", "steps", "events"]
Policy = Literal["block", "spill", "drop"]
"""What a sink that is slower than the run does to it. block: the run waits. spill: what waits goes
to a file, without bound. drop: events and steps that it has no room for are left out and counted;
trajectories are not, for them the run waits."""


class SinkClosed(Exception):
    """Whoever read this sink has gone; the run ends, without a failure."""


class Sink(Protocol):
    """Takes items in order, one at a time. Waiting in `write` slows the run down."""

    @property
    def emits(self) -> Emits:
        """What it is to be given."""
        ...

    # A sink may also have `write_line(line)`, for an item whose JSON, without secrets, is known,
    # `write_block(data, lines)`, for several such lines that each end in a newline, and `flush()`,
    # which returns when all is where it belongs.

    async def write(self, item: Item) -> None:
        """Raises `SinkClosed` or `BrokenPipeError` when its reader has gone, and `OSError` when
        it cannot write; either ends the run.
        """
        ...


class LineSink:
    """JSON lines to a `LineWriter`, without secrets (`nexau.secrets.redaction`).

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

    async def write_block(self, data: bytes, lines: int) -> None:
        if self._terminal:
            data = b"".join([visible_json(line.decode()).encode() + b"\n" for line in _split(data)])
        await self.writer.write_block(data, lines)


class Written(Struct, frozen=True, gc=False):
    """Items whose lines are known: of a run's directory, or of a worker."""

    data: bytes
    """JSON, without secrets; a newline ends each line."""
    count: int
    """Of the lines."""
    items: Sequence[Item | None]
    """For a sink that takes no lines."""


def _split(data: bytes) -> list[bytes]:
    return data[:-1].split(b"\n")


class Flush:
    """Asked of a sink's actor: answered when all before it is written."""


class Outlet(Struct, frozen=True):
    """A sink with a policy of its own; stands in place of the sink."""

    sink: Any
    policy: Policy = "block"
    folder: Path | None = None
    """Where the file of `spill` is; None: where temporary files are."""

    @property
    def emits(self) -> Emits:
        emits: Emits = self.sink.emits
        return emits

    async def write(self, item: Item) -> None:
        await self.sink.write(item)


class SinkActor(Actor):
    def __init__(self, sink: Sink, broken: Callable[[Exception], None]) -> None:
        self.sink = sink
        self._broken = broken
        self._closed = False
        self._write_line: Callable[[bytes], Awaitable[None]] | None = getattr(
            sink, "write_line", None
        )
        self._write_block: Callable[[bytes, int], Awaitable[None]] | None = getattr(
            sink, "write_block", None
        )

    async def receive(self, message: Any) -> None:
        if self._closed:
            return
        try:
            if isinstance(message, Flush):
                await self._flush()
            elif isinstance(message, Written):
                await self._take(message)
            else:
                await self._write(message)
        except (SinkClosed, OSError) as error:
            self._fail(error)

    @property
    def takes_lines(self) -> bool:
        return self._write_line is not None

    async def _take(self, written: Written) -> None:
        if self._write_block is not None:
            await self._write_block(written.data, written.count)
        elif self._write_line is not None:
            for line in _split(written.data):
                await self._write_line(line)
        else:
            for item in written.items:
                assert item is not None
                await self._write(item)

    async def _write(self, item: Item) -> None:
        await self.sink.write(item)

    async def _flush(self) -> None:
        flush = getattr(self.sink, "flush", None)
        if flush is not None:
            await flush()

    def _fail(self, error: Exception) -> None:
        self._closed = True
        self._broken(error)

    def statistics(self) -> dict[str, Any]:
        told = getattr(self.sink, "statistics", None)
        return told() if told is not None else {}


class SpillActor(SinkActor):
    """As `SinkActor`; takes everything at once, and hands it on as fast as the sink takes it."""

    def __init__(
        self, sink: Sink, broken: Callable[[Exception], None], folder: Path | None
    ) -> None:
        super().__init__(sink, broken)
        if self._write_line is None:
            raise TypeError(f"{type(sink).__name__} takes no lines, so nothing can be spilled")
        self._hand = self._write_line
        self._write_line, self._write_block = self._queue_line, None
        self._queue = SpillQueue(folder)
        self._encoder = msgspec.json.Encoder()
        self._changed = anyio.Event()
        self._handing = False

    async def started(self) -> None:
        self.context.start_soon(self._hand_on, name="hand-on")

    async def stopped(self) -> None:
        self._queue.close()

    async def _write(self, item: Item) -> None:
        await self._queue_line(SECRETS.line(self._encoder.encode(item)))

    async def _queue_line(self, line: bytes) -> None:
        while not self._closed:
            try:
                self._queue.put(line)
            except OSError:
                # A full disk: the run waits, as if nothing could be spilled.
                await self._changed.wait()
            else:
                break
        self._notify()

    async def _hand_on(self) -> None:
        while not self._closed:
            line = self._queue.get()
            self._handing = line is not None
            if line is None:
                self._notify()
                await self._changed.wait()
                continue
            try:
                await self._hand(line)
            except (SinkClosed, OSError) as error:
                self._fail(error)
            self._notify()

    async def _flush(self) -> None:
        while (len(self._queue) or self._handing) and not self._closed:
            await self._changed.wait()
        if not self._closed:
            await super()._flush()

    def _fail(self, error: Exception) -> None:
        super()._fail(error)
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def statistics(self) -> dict[str, Any]:
        queue = self._queue
        waiting = {"spilled": len(queue), "spilled_bytes": queue.waiting, "most": queue.most}
        return super().statistics() | waiting
