"""Writing to a file descriptor without holding up the event loop, and without changing its mode.

`O_NONBLOCK` belongs to what a descriptor refers to, so the shell and every process that shares
stdout would have it too. It is never set, neither here nor by an event loop that would be asked to
wait for the descriptor itself (libuv sets it on whatever it polls); so the kinds differ:

- A **pipe** is written from the loop, in pieces of `PIPE_BUF` bytes, each after `poll` has said
  that it will not block. To wait for room, the loop waits for a selector that holds the pipe.
- A **regular file** is written from the loop as well, which takes 3 us for 8 KB. Once that has
  held the loop for `HELD` seconds (a network file system, a disk that lags), a thread takes over.
- A **terminal or a socket** is written by a thread.

A thread for all of them was tried: on a busy loop it waits for the GIL for 0.6 to 1.7 s, because
the loop gives the GIL up and takes it back too often for CPython's fair switching to come about.
"""

import os
import queue
import select
import selectors
import stat
import threading
import time
from contextlib import suppress
from typing import Protocol

import anyio
import anyio.from_thread
import anyio.lowlevel

HELD = 0.02
"""Seconds that one write to a file may hold the loop before a thread takes over."""


class Output(Protocol):
    async def write(self, data: memoryview) -> int:
        """Write some of `data`; the number of bytes. A checkpoint. Raises OSError."""
        ...

    async def hung_up(self) -> None:
        """Return once nobody can read any more; never where only a write can tell."""
        ...

    def close(self) -> None:
        """Let go of the descriptor, which stays open. Nothing may be waiting any more."""
        ...


def open_output(fd: int) -> Output:
    """Raises OSError for a descriptor that is not open."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISFIFO(kind):
        return _Pipe(fd)
    if stat.S_ISSOCK(kind) or os.isatty(fd):
        return _Thread(fd)
    return _File(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`, blocking, also where somebody has made `fd` non-blocking.

    Raises OSError; BrokenPipeError when the reader has gone.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            ready = select.poll()
            ready.register(fd, select.POLLOUT)
            ready.poll()


class _Pipe:
    """Never blocks, unless another process fills the pipe between `poll` and `write`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._room = selectors.DefaultSelector()
        self._room.register(fd, selectors.EVENT_WRITE)
        # No event asked for: an error, which is the reader's leaving, is reported all the same.
        self._end = select.epoll() if hasattr(select, "epoll") else None
        if self._end is not None:
            self._end.register(fd, 0)

    async def write(self, data: memoryview) -> int:
        if self._poll.poll(0):
            await anyio.lowlevel.checkpoint()
        else:
            await anyio.wait_readable(self._room.fileno())
        written = 0
        while written < len(data) and self._poll.poll(0):
            try:
                written += os.write(self._fd, data[written : written + select.PIPE_BUF])
            except BlockingIOError:
                break
        return written

    async def hung_up(self) -> None:
        if self._end is None:
            await anyio.sleep_forever()
        else:
            await anyio.wait_readable(self._end.fileno())

    def close(self) -> None:
        self._room.close()
        if self._end is not None:
            self._end.close()


class _Thread:
    """A daemon: one that is held in a write by a stuck reader must not hold up the exit."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._jobs: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._token = anyio.lowlevel.current_token()
        self._done = anyio.Event()
        self._error: OSError | None = None
        self._closed = False
        threading.Thread(target=self._work, name=f"output-{fd}", daemon=True).start()

    async def write(self, data: memoryview) -> int:
        self._done = anyio.Event()
        self._jobs.put(data)
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return len(data)

    async def hung_up(self) -> None:
        await anyio.sleep_forever()

    def close(self) -> None:
        self._closed = True
        self._jobs.put(None)

    def _work(self) -> None:
        while (data := self._jobs.get()) is not None:
            try:
                write_all(self._fd, data)
            except OSError as error:
                self._error = error
            if not self._closed:
                with suppress(anyio.RunFinishedError):
                    anyio.from_thread.run_sync(self._tell, token=self._token)

    def _tell(self) -> None:
        self._done.set()


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread: _Thread | None = None

    async def write(self, data: memoryview) -> int:
        if self._thread is not None:
            return await self._thread.write(data)
        await anyio.lowlevel.checkpoint()
        start = time.monotonic()
        written = os.write(self._fd, data)
        if time.monotonic() - start > HELD:
            self._thread = _Thread(self._fd)
        return written

    async def hung_up(self) -> None:
        await anyio.sleep_forever()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.close()
