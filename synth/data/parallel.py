"""One pass over files by several processes, in pieces of whole lines, the results in order.

The pieces are cut here and read there, so that lines do not pass through a pipe on their way in.
What a piece gives is put together in the order of the lines: the output is that of one process.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.problems import display
from nexau.synth.data.stream import Advance

SIZE = 1 << 20
"""Bytes of a piece, about."""
R = TypeVar("R")


class Chunk(Struct, frozen=True):
    """Whole lines of a file."""

    name: str
    """As it is shown."""
    path: str
    number: int
    """Of the first line, from 1."""
    offset: int
    size: int
    data: bytes | None = None
    """The lines, where they came from a stream and cannot be read again."""

    def lines(self) -> BytesIO:
        """Raises OSError."""
        if self.data is not None:
            return BytesIO(self.data)
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            return BytesIO(file.read(self.size))


class ProcessDied(Exception):
    """A process that had a piece to work on ended before its time."""


def chunks(files: list[Path], size: int = SIZE) -> Iterator[Chunk]:
    """Raises `DefinitionError` for a file that cannot be read."""
    for file in files:
        if str(file) == "-":
            yield from _cut(sys.stdin.buffer, "stdin", "-", size)
            continue
        try:
            with file.open("rb") as source:
                yield from _cut(source, display(file), str(file), size)
        except OSError as error:
            raise DefinitionError(f"{display(file)}: cannot be read: {error.strerror}") from None


def _cut(source: BinaryIO, name: str, path: str, size: int) -> Iterator[Chunk]:
    number, offset = 1, 0
    left = b""
    while True:
        block = source.read(size)
        end = block.rfind(b"\n") + 1
        if block and not end:
            left += block  # a line longer than a piece
            continue
        whole, left = left + (block[:end] if block else b""), block[end:]
        if whole:
            yield Chunk(name, path, number, offset, len(whole), whole if path == "-" else None)
            number += whole.count(b"\n")
            offset += len(whole)
        if not block:
            return


Work = Callable[[Chunk], R]


def in_order(
    make: Callable[[], Work[R]],
    files: list[Path],
    workers: int,
    advance: Advance | None = None,
) -> Iterator[R]:
    """What `make()`, called once in each process, gives for each piece. Both have to be picklable.

    Raises what the work raises, `DefinitionError` for a file that cannot be read, and
    `ProcessDied`. At most two pieces for each process are under way.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(make,))
    waiting: deque[tuple[int, Future[R]]] = deque()
    try:
        for chunk in chunks(files):
            with _deaf() if not waiting else nullcontext():
                waiting.append((chunk.size, pool.submit(_work, chunk)))
            if len(waiting) >= 2 * workers:
                yield _taken(waiting, advance)
        while waiting:
            yield _taken(waiting, advance)
    except BrokenProcessPool:
        raise ProcessDied("a worker process ended before its time: out of memory?") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C, not even before `_begin`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _taken(waiting: "deque[tuple[int, Future[R]]]", advance: Advance | None) -> R:
    size, future = waiting.popleft()
    made = future.result()
    if advance is not None:
        advance(size)
    return made


_working: list[Work[Any]] = []


def _begin(make: Callable[[], Work[Any]]) -> None:
    # Ctrl-C is the parent's to obey; and a parent that was killed leaves nobody behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _working.append(make())


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(chunk: Chunk) -> Any:
    return _working[0](chunk)
