"""A file system in memory that fills up, tears writes, dies with its process and loses power."""

import errno
import os
import random
from pathlib import Path

from nexau.journal.files import Locked


class _File:
    __slots__ = ("data", "synced")

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0
        """Bytes that survive a loss of power."""


class MemoryFiles:
    """A `Files`. What is written is there at once, and lasts once it is synced."""

    threaded = False

    def __init__(self, *, capacity: int | None = None) -> None:
        self.capacity = capacity
        """Bytes that fit on the disk."""
        self.dead = False
        """The process has been killed: what it still does has no effect."""
        self.tear: random.Random | None = None
        """Writes are cut short at random, as `os.write` may."""
        self.handles: dict[int, Path] = {}
        self._files: dict[Path, _File] = {}
        self._locked: dict[int, Path] = {}
        self._next = 3

    def used(self) -> int:
        return sum(len(file.data) for file in self._files.values())

    def die(self) -> None:
        """kill -9: what was written stays, and nothing more comes."""
        self.dead = True

    def lose_power(self, chance: random.Random) -> None:
        """As `die`; of what was not synced any part may be gone, from its end on."""
        self.dead = True
        for file in self._files.values():
            del file.data[chance.randint(file.synced, len(file.data)) :]

    def restart(self) -> None:
        """Another process begins."""
        self.dead = False
        self.handles.clear()
        self._locked.clear()
        for file in self._files.values():
            file.synced = min(file.synced, len(file.data))

    def flip(self, path: Path, at: int, bit: int) -> None:
        """One bit of a file is not what it was."""
        self._files[path].data[at] ^= 1 << bit

    def paths(self) -> list[Path]:
        return sorted(self._files)

    def open(self, path: Path) -> int:
        if not self.dead:
            self._files.setdefault(path, _File())
        self._next += 1
        self.handles[self._next] = path
        return self._next

    def size(self, handle: int) -> int:
        file = self._file(handle)
        return len(file.data) if file is not None else 0

    def write(self, handle: int, data: memoryview) -> int:
        file = self._file(handle)
        if file is None:
            return len(data)
        count = len(data)
        if self.tear is not None and count > 1:
            count = self.tear.randint(1, count)
        if self.capacity is not None:
            room = self.capacity - self.used()
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = min(count, room)
        file.data += data[:count]
        return count

    def truncate(self, handle: int, size: int) -> None:
        file = self._file(handle)
        if file is not None:
            del file.data[size:]

    def sync(self, handle: int) -> None:
        file = self._file(handle)
        if file is not None:
            file.synced = len(file.data)

    def close(self, handle: int) -> None:
        self.handles.pop(handle, None)
        self._locked.pop(handle, None)

    def read(self, path: Path) -> bytes:
        file = self._files.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return bytes(file.data)

    def names(self, folder: Path) -> list[str]:
        return sorted({path.relative_to(folder).parts[0] for path in self._files
                       if path.is_relative_to(folder)})  # fmt: skip

    def make(self, folder: Path) -> None:
        """Folders are there when something is in them."""

    def put(self, path: Path, data: bytes) -> None:
        if self.dead:
            return
        if self.capacity is not None and self.used() + len(data) > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file = self._files[path] = _File()
        file.data += data
        file.synced = len(data)

    def move(self, path: Path, target: Path) -> None:
        if not self.dead:
            self._files[target] = self._files.pop(path)

    def remove(self, path: Path) -> None:
        if not self.dead:
            self._files.pop(path, None)

    def lock(self, path: Path) -> int:
        if path in self._locked.values():
            raise Locked(errno.EAGAIN, "in use by process 1")
        handle = self.open(path)
        self._locked[handle] = path
        return handle

    def _file(self, handle: int) -> _File | None:
        """None for a process that is dead, and for what was removed under it."""
        return None if self.dead else self._files.get(self.handles.get(handle, Path()))
