"""The disk of a run: full because the calls that write to it say so, or because it is small."""

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "8m"
PIECE = bytes(1 << 16)


class Disk:
    """`folder` is where the run's directory is. `flag` makes calls that write fail while it is
    there (`tests.chaos.seams`).
    """

    def __init__(self, folder: Path, flag: Path, *, small: bool) -> None:
        self.folder = folder
        self.kind = "full disk: injected"
        self._flag = flag
        self._ballast = folder / "ballast"
        folder.mkdir()
        if small and _mounted(folder):
            self.kind = "full disk: tmpfs"

    def fill(self) -> None:
        if self.kind == "full disk: injected":
            self._flag.touch()
            return
        handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for piece in (PIECE, b"\0" * 4096):
                with suppress(OSError):
                    while True:
                        os.write(handle, piece)
        finally:
            os.close(handle)

    def clear(self) -> None:
        self._flag.unlink(missing_ok=True)
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.kind == "full disk: tmpfs":
            subprocess.run(("umount", "--lazy", self.folder), check=True)


def _mounted(folder: Path) -> bool:
    """False where this process may not mount."""
    command = ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "chaos", folder)
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES):
            raise
        return False
