"""A queue that holds some bytes in memory and the rest in a file: for a reader slower than the run.

The file is one of nobody's: it has no name, so nothing is left however the process ends.
"""

import tempfile
from collections import deque
from pathlib import Path
from typing import IO

MEMORY = 1 << 20
"""Bytes of lines in memory."""


class SpillQueue:
    """Lines, first in first out. Synchronous; a write of the file goes to the page cache."""

    def __init__(self, folder: Path | None = None, *, memory: int = MEMORY) -> None:
        self._folder = folder
        self._memory = memory
        self._lines: deque[bytes] = deque()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._read_at = self._write_at = 0
        self._spilled = 0
        self.most = 0
        """Bytes that were in the file at most."""

    def __len__(self) -> int:
        return len(self._lines) + self._spilled

    @property
    def waiting(self) -> int:
        """Bytes of lines, in memory and in the file."""
        return self._held + self._write_at - self._read_at

    def put(self, line: bytes) -> None:
        """Raises OSError where the file cannot be written."""
        if not self._spilled and self._held + len(line) <= self._memory:
            self._lines.append(line)
            self._held += len(line)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
        # Whole, or as if nothing had been: a piece of a line would spoil those after it.
        self._file.seek(self._write_at)
        data = memoryview(line + b"\n")
        while data:
            data = data[self._file.write(data) :]
        self._write_at += len(line) + 1
        self._spilled += 1
        self.most = max(self.most, self._write_at - self._read_at)

    def get(self) -> bytes | None:
        """The line that has waited longest; None where none does."""
        if not self._lines and self._spilled:
            self._refill()
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._held -= len(line)
        return line

    def _refill(self) -> None:
        """Whole lines from the file, as many as fit, at least one."""
        assert self._file is not None
        size = self._memory
        while True:
            self._file.seek(self._read_at)
            data = self._file.read(min(size, self._write_at - self._read_at))
            end = data.rfind(b"\n")
            if end >= 0:
                break
            size *= 2
        lines = data[:end].split(b"\n")
        self._lines.extend(lines)
        self._held += end + 1 - len(lines)
        self._read_at += end + 1
        self._spilled -= len(lines)
        if not self._spilled:
            self._file.truncate(0)
            self._read_at = self._write_at = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
