"""Whole lines to a file descriptor, with backpressure: stdout, a journal, any pipe or file.

Writers append to a list; one task takes all that has gathered, every few milliseconds, and writes
it (`nexau.transports.output` tells how). A line costs its writer 0.7 us where lines are short, and
1 us a KB where they are long.
"""

import errno
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import anyio
from msgspec import Struct

from nexau.transports.output import Output, open_output
from nexau.transports.scoping import background

LIMIT = 1 << 20
"""Bytes accepted and not yet written, from which on writers wait."""
LINGER = 0.005
"""Seconds for which lines gather after a batch. The first line after a pause goes at once."""
GRACE = 2.0
"""Seconds for which a cancelled close waits for a reader that does not read."""
CHUNK = 1 << 16
"""Bytes of one system call, and of what is written between two checkpoints."""


class LinesNotWritten(OSError):
    """Lines that were accepted cannot be written: the disk is full, or fails. `filename` is what
    `open_lines` was told.
    """

    whole = 0
    """Lines that are there, from first to last byte. Of a regular file the piece of a line behind
    them was taken back, unless somebody else has written since."""


class LineStatistics(Struct, frozen=True, gc=False):
    lines: int
    """Accepted."""
    bytes: int
    """Accepted, with the newlines."""
    buffered: int
    """Bytes accepted and not yet written."""
    waiting: int
    """Writers waiting for room."""
    batches: int
    """Times that what had gathered was taken."""


class _Waiter:
    __slots__ = ("accepted", "data", "event", "lines")

    def __init__(self, data: bytes, lines: int) -> None:
        self.data = data
        self.lines = lines
        """Of a block; 0 for a line."""
        self.event = anyio.Event()
        self.accepted = False


class LineWriter:
    """Made by `open_lines`. Lines come out in the order in which `write` was called."""

    def __init__(
        self, fd: int, output: Output, *, limit: int, linger: float, name: str | None
    ) -> None:
        self._blocks: deque[tuple[bytes, int]] = deque()
        """Come before `_lines`; each with how many lines it is."""
        self._lines: list[bytes] = []
        self._waiters: deque[_Waiter] = deque()
        self._limit = limit
        self._linger = linger
        self._count = self._batches = self._accepted = self._written = 0
        self._fd = fd
        self._output = output
        self._name = name
        self._batch = memoryview(b"")
        """What is being written..."""
        self._done = self._whole = self._taken = 0
        """... of which so many bytes are there; lines before it, and with it."""
        self._wake = anyio.Event()
        self._ended = anyio.Event()
        self._closing = False
        self._scope = anyio.CancelScope(shield=True)
        self._error: OSError | None = None
        self._surfaced = False

    async def write(self, line: bytes) -> None:
        """Accept one line (without its newline), waiting for room.

        A checkpoint only when it waits; cancelled then, the line may have been accepted or not.
        Raises BrokenPipeError when the reader has gone, `LinesNotWritten` when writing failed
        (ENOSPC, EIO), anyio.ClosedResourceError after closing.
        """
        try:
            self.write_nowait(line)
        except anyio.WouldBlock:
            await self._wait_for_room(line)

    async def write_block(self, data: bytes, lines: int) -> None:
        """As `write` of so many lines, each of which ends in a newline here, without a copy."""
        self._check()
        if not lines:
            return
        if self._waiters or self._accepted - self._written >= self._limit:
            await self._wait_for_room(data, lines)
        else:
            self._accept_block(data, lines)

    def write_nowait(self, line: bytes) -> None:
        """As `write`, raising anyio.WouldBlock when there is no room."""
        self._check()
        if self._waiters or self._accepted - self._written >= self._limit:
            raise anyio.WouldBlock
        self._accept(line)

    async def wait_broken(self) -> None:
        """Return when the reader has gone or writing has failed, and when the writer is closed.

        A pipe tells (on Linux) even while nothing is written; anything else, with the line that
        fails.
        """
        await self._ended.wait()

    @property
    def broken(self) -> bool:
        """Whether the reader has gone or writing has failed."""
        return self._error is not None

    def statistics(self) -> LineStatistics:
        return LineStatistics(
            lines=self._count,
            bytes=self._accepted,
            buffered=self._accepted - self._written,
            waiting=len(self._waiters),
            batches=self._batches,
        )

    async def aclose(self, grace: float = GRACE) -> None:
        """Write what was accepted and end; the descriptor stays open.

        Waits as long as the reader takes. Once cancelled it waits `grace` seconds at most, then
        leaves the rest unwritten; only so can a line be cut while its reader lives. Raises the
        OSError that kept lines from being written, if no `write` has raised it.
        """
        self._closing = True
        self._wake.set()
        try:
            await self._ended.wait()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(grace):
                await self._ended.wait()
            self._scope.cancel()
        if self._error is not None and not self._surfaced and self._accepted > self._written:
            self._raise(self._error)

    def _check(self) -> None:
        if self._error is not None:
            self._raise(self._error)
        if self._closing:
            raise anyio.ClosedResourceError

    def _raise(self, error: OSError) -> None:
        # Made anew each time: one exception object would gather the tracebacks of all writers.
        self._surfaced = True
        if isinstance(error, BrokenPipeError):
            raise BrokenPipeError(error.errno, error.strerror)
        told = LinesNotWritten(error.errno, error.strerror, self._name)
        told.whole = self._whole
        raise told

    def _accept(self, line: bytes) -> None:
        self._lines.append(line)
        self._count += 1
        self._accepted += len(line) + 1
        if len(self._lines) == 1:
            self._wake.set()

    def _accept_block(self, data: bytes, lines: int) -> None:
        if self._lines:
            self._blocks.append(self._take_lines())
        self._blocks.append((data, lines))
        self._count += lines
        self._accepted += len(data)
        self._wake.set()

    def _take_lines(self) -> tuple[bytes, int]:
        lines, self._lines = self._lines, []
        lines.append(b"")
        return b"\n".join(lines), len(lines) - 1

    async def _wait_for_room(self, data: bytes, lines: int = 0) -> None:
        waiter = _Waiter(data, lines)
        self._waiters.append(waiter)
        try:
            await waiter.event.wait()
        finally:
            if not waiter.accepted:
                self._waiters.remove(waiter)
        if not waiter.accepted:
            self._check()

    def _admit(self) -> None:
        while self._waiters and self._accepted - self._written < self._limit:
            waiter = self._waiters.popleft()
            if waiter.lines:
                self._accept_block(waiter.data, waiter.lines)
            else:
                self._accept(waiter.data)
            waiter.accepted = True
            waiter.event.set()

    async def run(self) -> None:
        """Write until closed or broken; the task that `open_lines` starts."""
        try:
            with self._scope:
                while await self._some():
                    await self._write_batch()
        except OSError as error:
            self._error = error
            self._take_back()
        finally:
            self._ended.set()
            for waiter in self._waiters:
                waiter.event.set()

    async def watch(self) -> None:
        """End the writer when its reader goes away; the other task that `open_lines` starts."""
        await self._output.hung_up()
        self._error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        self._scope.cancel()

    async def _some(self) -> bool:
        while not (self._lines or self._blocks or self._closing):
            self._wake = anyio.Event()
            await self._wake.wait()
        return bool(self._lines or self._blocks)

    def _take_back(self) -> None:
        """A piece of a line is worth less than none."""
        done = bytes(self._batch[: self._done])
        self._whole += done.count(b"\n")
        piece = len(done) - done.rfind(b"\n") - 1
        with suppress(OSError):  # a pipe, or a file that is not ours to cut
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if piece and end == os.fstat(self._fd).st_size:
                os.ftruncate(self._fd, end - piece)
                os.lseek(self._fd, end - piece, os.SEEK_SET)

    async def _write_batch(self) -> None:
        batch, lines = self._blocks.popleft() if self._blocks else self._take_lines()
        self._whole, self._done = self._taken, 0
        self._taken += lines
        data = self._batch = memoryview(batch)
        self._batches += 1
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            while chunk:
                written = await self._output.write(chunk)
                chunk = chunk[written:]
                self._written += written
                self._done += written
                self._admit()
        self._batch = memoryview(b"")
        if len(data) < CHUNK and not self._blocks and not self._closing:
            await anyio.sleep(self._linger)


@asynccontextmanager
async def open_lines(
    fd: int,
    *,
    limit: int = LIMIT,
    linger: float = LINGER,
    grace: float = GRACE,
    name: str | None = None,
) -> AsyncIterator[LineWriter]:
    """Write lines to `fd`, which stays open and keeps its mode. `LineWriter.aclose` tells the end.

    `limit` is in bytes: memory holds at most that and one line more. `linger` and `grace` are
    seconds. Errors tell `name`. Raises OSError for a descriptor that is not open.
    """
    output = open_output(fd)
    writer = LineWriter(fd, output, limit=limit, linger=linger, name=name)
    with closing(output):
        async with background() as tasks:
            tasks.start_soon(writer.run)
            tasks.start_soon(writer.watch)
            try:
                yield writer
            except BaseException:
                # The first error is the one to tell of.
                with suppress(OSError):
                    await writer.aclose(grace)
                raise
            await writer.aclose(grace)
