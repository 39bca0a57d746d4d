"""A worker process, as its parent sees it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from nexau.tasks.assignments import Assignment
from nexau.transports.lines import LineWriter, open_lines
from nexau.transports.process import describe_exit
from nexau.workers.wire import Begin, Ended, Give, Order, Report, decode_report, encode, follow

CHUNK = 1 << 18
PIPE = 1 << 20
"""Bytes between a worker and its parent, where the system grants it."""
CLOSE_SECONDS = 20.0
"""For a worker whose orders have ended: in that time it closes its servers, or it is killed."""
LINGER = 0.002
"""Seconds for which lines gather after a read that brought little: a wake-up costs more."""
_POLL = 0.01


class Boss(Protocol):
    """What a worker process needs of its run."""

    def heard(self, worker: "WorkerProcess", report: Report) -> None:
        """A report has come in."""
        ...

    async def take(self, lines: bytes) -> None:
        """Lines have come in, whole ones, without the last newline. Waiting holds them up."""
        ...

    def gone(self, worker: "WorkerProcess", fault: str | None) -> None:
        """It has ended; `fault` says how, where it had not said so before."""
        ...


class WorkerProcess:
    """Lives as long as `run` does."""

    def __init__(self, number: int, boss: Boss) -> None:
        self.number = number
        self.wanted = 0
        """Assignments that it can take."""
        self.batch: list[Assignment] = []
        self._boss = boss
        self._orders: LineWriter | None = None
        self._tasks: TaskGroup | None = None
        self._said_all = False

    def order(self, order: Order) -> None:
        """Never waits."""
        if self._orders is None or self._tasks is None:
            return
        try:
            self._orders.write_nowait(encode(order))
        except anyio.WouldBlock:
            self._tasks.start_soon(self._send, order)
        except (OSError, anyio.ClosedResourceError):
            return  # it is gone, which its reports tell

    async def give(self) -> None:
        """Sends the batch; waits while the worker does not read."""
        batch, self.batch = self.batch, []
        if batch:
            await self._send(Give(batch))

    async def _send(self, order: Order) -> None:
        if self._orders is not None:
            with suppress(OSError, anyio.ClosedResourceError):
                await self._orders.write(encode(order))

    async def run(self, begin: Begin) -> None:
        """From its start to its end. When cancelled it has `CLOSE_SECONDS` to leave."""
        pipes = _Pipes()
        process = None
        fault = "was not started"
        try:
            process = pipes.start()
            await self._attend(begin, pipes)
        finally:
            pipes.close()
            if process is not None:
                with anyio.CancelScope(shield=True):
                    fault = describe_exit(await _exit(process))
            self._boss.gone(self, None if self._said_all else fault)

    async def _attend(self, begin: Begin, pipes: "_Pipes") -> None:
        """Until its reports and its lines have ended."""
        with suppress(OSError):  # of orders that a worker which is gone did not read
            async with open_lines(pipes.orders, linger=0.0, grace=0.0) as self._orders:
                await self._send(begin)
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(follow, pipes.reports, self._hear)
                    self._tasks.start_soon(_read_lines, pipes.lines, self._boss.take)
        self._orders = None

    def _hear(self, line: bytes) -> None:
        report = decode_report(line)
        if isinstance(report, Ended):
            self._said_all = True
        else:
            self._boss.heard(self, report)


class _Pipes:
    """Our ends, and until it is started those of the worker."""

    def __init__(self) -> None:
        self._theirs: list[int] = []
        orders, self.orders = os.pipe()
        self.reports, reports = os.pipe()
        self.lines, lines = os.pipe()
        self._ours = [self.orders, self.reports, self.lines]
        self._theirs = [orders, lines, reports]
        with suppress(AttributeError, OSError):
            fcntl.fcntl(self.lines, fcntl.F_SETPIPE_SZ, PIPE)

    def start(self) -> "subprocess.Popen[bytes]":
        """In a session of its own: the terminal's Ctrl-C is for the parent, which passes it on."""
        orders, lines, reports = self._theirs
        process = subprocess.Popen(
            [sys.executable, "-m", "nexau.workers.process", str(reports)],
            stdin=orders,
            stdout=lines,
            pass_fds=(reports,),
            start_new_session=True,
        )
        self._close(self._theirs)
        return process

    def close(self) -> None:
        self._close(self._theirs)
        self._close(self._ours)

    def _close(self, descriptors: list[int]) -> None:
        while descriptors:
            os.close(descriptors.pop())


async def _read_lines(fd: int, take: Callable[[bytes], Awaitable[None]]) -> None:
    """Passes on whole lines until the end; what follows the last newline is dropped.

    Nothing is read while `take` waits, so a slow reader of all holds up the worker.
    """
    os.set_blocking(fd, False)
    parts: list[bytes] = []
    while True:
        await anyio.wait_readable(fd)
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            continue
        if not data:
            return
        if len(data) < CHUNK // 8:
            await anyio.sleep(LINGER)
        end = data.rfind(b"\n")
        if end < 0:
            parts.append(data)
            continue
        parts.append(data[:end])
        lines = b"".join(parts)
        parts = [data[end + 1 :]]
        await take(lines)


async def _exit(process: "subprocess.Popen[bytes]") -> int:
    """Its return code, in `CLOSE_SECONDS` at most."""
    with anyio.move_on_after(CLOSE_SECONDS):
        while process.poll() is None:  # noqa: ASYNC110 - a pidfd is not everywhere
            await anyio.sleep(_POLL)
    if process.returncode is None:
        process.kill()
    return process.wait()
