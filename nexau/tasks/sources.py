"""Where a stream of tasks gets its batches: files, pipes, terminals, iterables.

Nothing here blocks the event loop or leaves a thread behind that waits for ever: what can be
polled is polled, and only what is readable is read, in a thread.
"""

import os
import selectors
import stat
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from nexau.definitions.values import DefinitionError
from nexau.files.paths import is_dir, missing
from nexau.files.problems import display
from nexau.tasks.lines import Batch, TaskLines, make_task

_BLOCK = 256 * 1024
_MANY = 256
_SOON = 0.01
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Source(Protocol):
    async def batch(self) -> Batch:
        """The next tasks; none of them, and no `end`, is no news."""
        ...

    async def aclose(self) -> None: ...


class DescriptorSource:
    """JSON lines of a file, a pipe, a FIFO or a terminal."""

    def __init__(self, file: Path | int, name: str) -> None:
        """`file`: a path, opened at the first batch, or a descriptor that stays its owner's."""
        self._path = file if isinstance(file, Path) else None
        self._descriptor = None if isinstance(file, Path) else file
        self._lines = TaskLines(name)
        self._name = name
        self._poll = os.name != "nt"
        self._abandon = False
        self._limiter: anyio.CapacityLimiter | None = None
        self._selector: selectors.DefaultSelector | None = None

    async def batch(self) -> Batch:
        if self._limiter is None:
            # Not the shared one, which slow tools may have used up.
            self._limiter = anyio.CapacityLimiter(1)
            await anyio.to_thread.run_sync(self._open, limiter=self._limiter)
        assert self._descriptor is not None
        if self._poll:
            await self._readable()
        return await anyio.to_thread.run_sync(
            self._read, limiter=self._limiter, abandon_on_cancel=self._abandon and not self._poll
        )

    async def _readable(self) -> None:
        # Not the descriptor itself: libuv sets O_NONBLOCK on what it polls, and a terminal's stdin
        # shares that flag with stdout and with the shell.
        assert self._descriptor is not None
        try:
            if self._selector is None:
                self._selector = selectors.DefaultSelector()
                self._selector.register(self._descriptor, selectors.EVENT_READ)
            await anyio.wait_readable(self._selector.fileno())
        except PermissionError:  # epoll takes no regular files, nor some devices
            self._poll = False

    def _open(self) -> None:
        try:
            if self._path is not None:
                self._descriptor = os.open(self._path, _FLAGS)
            assert self._descriptor is not None
            mode = os.fstat(self._descriptor).st_mode
        except OSError as error:
            raise DefinitionError(f"{self._name}: {error.strerror}") from None
        regular = stat.S_ISREG(mode)
        self._poll = self._poll and not regular
        # A read of anything but a file may last for ever, and cannot be interrupted.
        self._abandon = not regular

    def _read(self) -> Batch:
        assert self._descriptor is not None
        try:
            return self._lines.feed(os.read(self._descriptor, _BLOCK))
        except BlockingIOError:
            return Batch()
        except OSError as error:
            raise DefinitionError(f"{self._name}: {error.strerror}") from None

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        if self._path is not None and self._descriptor is not None:
            os.close(self._descriptor)
            self._path = self._descriptor = None

    def __del__(self) -> None:
        self._close()


class SequenceSource:
    """A list or a tuple."""

    def __init__(self, values: Sequence[object], name: str) -> None:
        self._values = values
        self._name = name
        self._next = 0

    async def batch(self) -> Batch:
        first = self._next
        self._next += _MANY
        return _made(iter(self._values[first : self._next]), first, self._name, float("inf"))

    async def aclose(self) -> None: ...


class IterableSource:
    """An iterable that may block: pulled in a worker thread, for some milliseconds at a time."""

    def __init__(self, values: Iterable[object], name: str) -> None:
        self._values = iter(values)
        self._name = name
        self._taken = 0
        self._pulling = False
        self._limiter: anyio.CapacityLimiter | None = None

    async def batch(self) -> Batch:
        if self._pulling:
            return Batch(end=True)  # a pull was cancelled, and its thread may still be in it
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        self._pulling = True
        batch = await anyio.to_thread.run_sync(
            self._pull, limiter=self._limiter, abandon_on_cancel=True
        )
        self._pulling = False
        return batch

    def _pull(self) -> Batch:
        made = _made(self._values, self._taken, self._name, time.monotonic() + _SOON)
        self._taken += len(made.tasks)
        return made

    async def aclose(self) -> None: ...


class AsyncSource:
    """An async iterable: one task at a time."""

    def __init__(self, values: AsyncIterable[object], name: str) -> None:
        self._values = aiter(values)
        self._name = name
        self._taken = 0

    async def batch(self) -> Batch:
        try:
            value = await anext(self._values)
        except StopAsyncIteration:
            return Batch(end=True)
        made = _made(iter((value,)), self._taken, self._name, 0.0)
        self._taken += 1
        return made

    async def aclose(self) -> None:
        close: Any = getattr(self._values, "aclose", None)
        if close is not None:
            await close()


def _made(values: Iterator[object], taken: int, name: str, until: float) -> Batch:
    """At most `_MANY` tasks, fewer if the clock passes `until`."""
    batch = Batch([])
    for number, value in enumerate(values, taken + 1):
        try:
            batch.tasks.append(make_task(value, number, f"{name} {number}"))
        except DefinitionError as error:
            return Batch(batch.tasks, error, end=True)
        if len(batch.tasks) == _MANY or time.monotonic() >= until:
            return batch
    batch.end = True
    return batch


def source_of(source: object) -> Source:
    """Raises `DefinitionError` for a file that is not there, `TypeError` for what is no source."""
    if isinstance(source, str) and source == "-":
        return DescriptorSource(0, "<stdin>")
    if isinstance(source, str | Path):
        path = Path(source)
        if is_dir(path) or not os.path.exists(path):  # noqa: PTH110 - never raises
            raise DefinitionError(missing(path))
        return DescriptorSource(path, display(path))
    if isinstance(source, AsyncIterable):
        return AsyncSource(source, "task")
    if isinstance(source, list | tuple):
        return SequenceSource(source, "task")
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes | bytearray):
        return IterableSource(source, "task")
    raise TypeError(f"expected a path, '-' or an iterable of tasks, got {type(source).__name__}")
