"""What a run's own process meets, from files in the folder that CHAOS_SEAMS names: a time of day
that jumps, a disk that is full, a name that does not resolve. In each of the run's processes: the
first is forked from one that has these modules, workers begin with `site/sitecustomize.py`.
"""

import errno
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import nexau.recorder
from nexau.journal.files import DiskFiles
from nexau.transports import _http_asyncio
from tests.chaos.certificates import HOST

_real_time = time.time


def install(folder: Path) -> None:
    _shift_clock(folder / "clock")
    _fill_disk(folder / "full")
    _resolve(folder / "dns", folder / "dns.log")


def _shift_clock(path: Path) -> None:
    """The time of day is off by the seconds that stand in `path`, which may change any time."""
    known: tuple[int, float] = (0, 0.0)

    def offset() -> float:
        nonlocal known
        try:
            changed = path.stat().st_mtime_ns
            if changed != known[0]:
                known = (changed, float(path.read_text() or 0.0))
        except (OSError, ValueError):
            return known[1]
        return known[1]

    time.time = lambda: _real_time() + offset()
    nexau.recorder._EPOCH += offset()


def _fill_disk(flag: Path) -> None:
    """While `flag` is there, nothing can be written into run directories; the first piece is cut
    in its middle.
    """
    write, put = DiskFiles.write, DiskFiles.put
    halved: set[int] = set()

    def full_write(self: DiskFiles, handle: int, data: memoryview) -> int:
        mark = _mark(flag)
        if not mark:
            return write(self, handle, data)
        if mark in halved or len(data) < 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        halved.add(mark)
        return write(self, handle, data[: len(data) // 2])

    def full_put(self: DiskFiles, path: Path, data: bytes) -> None:
        if _mark(flag):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        put(self, path, data)

    DiskFiles.write = full_write  # type: ignore[method-assign]
    DiskFiles.put = full_put  # type: ignore[method-assign]


def _mark(flag: Path) -> int:
    """When the disk became full; 0: it is not."""
    try:
        return flag.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


class _Loop:
    """An event loop whose resolver knows `HOST`, until `flag` is there."""

    def __init__(self, loop: Any, flag: Path, log: Path) -> None:
        self._loop = loop
        self._flag = flag
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        if host != HOST:
            return await self._loop.getaddrinfo(host, port, **options)
        if self._flag.exists():
            with self._log.open("a") as log:
                log.write("failed\n")
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await self._loop.getaddrinfo("127.0.0.1", port, **options)


def _resolve(flag: Path, log: Path) -> None:
    made = _http_asyncio._Network.__init__

    def init(self: Any, loop: Any) -> None:
        made(self, _Loop(loop, flag, log))  # type: ignore[arg-type]

    _http_asyncio._Network.__init__ = init  # type: ignore[method-assign]
    # Otherwise an address is remembered for longer than a life lasts.
    _http_asyncio._RESOLVED = 0.02


def install_from_environment() -> None:
    folder = os.environ.get("CHAOS_SEAMS")
    if folder and "nexau.workers.process" in sys.orig_argv:
        install(Path(folder))
