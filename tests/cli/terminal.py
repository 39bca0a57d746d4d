"""Commands as a person sees them: their streams are a terminal of 100 columns."""

import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from typing import BinaryIO

from tests.cli.conftest import command

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    *arguments: str, colour: bool = False, stdout: BinaryIO | None = None
) -> tuple[int, str]:
    """The exit code, and all that was shown; without colours unless they are asked for.

    With `stdout`, that is not the terminal.
    """
    screen, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        command(*arguments),
        stdin=terminal,
        stdout=stdout or terminal,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        shown = _all(screen)
        os.close(screen)
        code = process.wait(150)
    text = shown.decode().replace("\r\n", "\n")
    return code, text if colour else CONTROL.sub("", text)


def _all(screen: int) -> bytes:
    shown = b""
    while True:
        try:
            read = os.read(screen, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            return shown
        if not read:
            return shown
        shown += read
