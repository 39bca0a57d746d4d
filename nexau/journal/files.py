"""The file system as a run directory sees it: few operations, with room for faults behind each.

`nexau.journal.testing.MemoryFiles` is the other implementation: it crashes, fills up and tears.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk without room: what was being written can be written later."""


class Locked(OSError):
    """Another process, or another run of this one, holds the lock."""


class NotWritten(OSError):
    """A run's directory cannot be written: what is in it stays, and can be gone on with."""


class Files(Protocol):
    threaded: bool
    """Whether `sync` takes long enough to be given to a thread."""

    def open(self, path: Path) -> int:
        """A handle for appending; makes the file where it is not there."""
        ...

    def size(self, handle: int) -> int: ...

    def write(self, handle: int, data: memoryview) -> int:
        """Some of `data`, as `os.write`."""
        ...

    def truncate(self, handle: int, size: int) -> None: ...

    def sync(self, handle: int) -> None:
        """What was written survives a loss of power."""
        ...

    def close(self, handle: int) -> None: ...

    def read(self, path: Path) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def names(self, folder: Path) -> list[str]:
        """Sorted; none where there is no such folder."""
        ...

    def make(self, folder: Path) -> None: ...

    def put(self, path: Path, data: bytes) -> None:
        """Replaces a file as a whole: before and after a crash it is the old or the new one."""
        ...

    def move(self, path: Path, target: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def lock(self, path: Path) -> int:
        """Until the handle is closed or the process has ended. Raises `Locked`."""
        ...


class DiskFiles:
    """`Files` of the operating system."""

    threaded = True

    def open(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def write(self, handle: int, data: memoryview) -> int:
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def names(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return []

    def make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path, data: bytes) -> None:
        fresh = path.with_name(f".{path.name}.new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
        self._sync_folder(path.parent)

    def move(self, path: Path, target: Path) -> None:
        path.replace(target)
        self._sync_folder(target.parent)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def lock(self, path: Path) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 100).decode(errors="replace").strip()
            os.close(handle)
            raise Locked(error.errno, f"in use by process {holder or 'unknown'}") from None
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except OSError:
            os.close(handle)
            raise
        return handle

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Appender:
    """A file that grows by whole pieces: one that cannot be written leaves nothing behind."""

    def __init__(self, files: Files, path: Path) -> None:
        self.path = path
        self._files = files
        self._handle = files.open(path)
        self.size = files.size(self._handle)
        self.dirty = False
        """Whether anything was written since the last `sync`."""

    def append(self, data: bytes) -> None:
        """Raises OSError; the file is then as it was."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._files.write(self._handle, rest) :]
        except OSError:
            self._files.truncate(self._handle, self.size)
            raise
        self.size += len(data)
        self.dirty = True

    def sync(self) -> None:
        self.dirty = False
        self._files.sync(self._handle)

    def close(self) -> None:
        self._files.close(self._handle)
