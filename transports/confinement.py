"""What a child process may use: limits that the kernel holds it to, and a sandbox.

A confined child is started through `launch.py`, an interpreter of its own that sets the limits and
then becomes the child, which costs 15 ms. The sandbox is bubblewrap where it is installed
(namespaces: of what else runs on the machine, the child sees and reaches nothing) or Landlock
(Linux 5.13 and later: files, and TCP from 6.7 on). Linux only.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from nexau.transports.launch import landlock_version

SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/run/systemd/resolve",
)
"""Directories that hold programs and what they need, readable in any sandbox."""


class ConfinementError(Exception):
    """A confinement that this machine does not have. The text says what is missing."""


class Confinement(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and a sandbox for a server's process. Each limit is of one process, not of those that
    it starts together; null sets none."""

    memory_bytes: int | None = None
    """Of data (heap, anonymous mappings)."""
    cpu_seconds: int | None = None
    """Of CPU time; it is killed a second later."""
    file_bytes: int | None = None
    """Of one file that it writes."""
    open_files: int | None = None
    """Descriptors at once."""
    new_privileges: bool = True
    """Whether set-user-id programs (sudo) give it more rights. In a sandbox they never do."""
    directory: Literal["shared", "own"] = "shared"
    """own: a fresh directory is its working directory and its HOME, and goes with it."""
    sandbox: Literal["none", "auto", "bubblewrap", "landlock"] = "none"
    """auto: bubblewrap, else Landlock. A server does not start where there is none."""
    read: tuple[str, ...] | None = None
    """In a sandbox, what it may read besides the system's directories, its interpreter, its working
    directory and `write`; null: everything."""
    write: tuple[str, ...] = ()
    """In a sandbox, what it may write besides a fresh TMPDIR and its own directory."""
    network: bool = True
    """In a sandbox, whether it reaches the network. Landlock only holds back TCP."""

    @property
    def launched(self) -> bool:
        """Whether it takes the launcher."""
        return self not in (_NONE, _OWN)

    @property
    def fresh(self) -> bool:
        """Whether it takes a fresh directory."""
        return self.directory == "own" or self.sandbox != "none"


_NONE = Confinement()
_OWN = Confinement(directory="own")


def command_line(
    confinement: Confinement,
    command: str,
    args: Sequence[str],
    cwd: str | None,
    own: str | None,
) -> list[str]:
    """What to run in place of `command`; `own` is its fresh directory. Raises ConfinementError."""
    if not confinement.launched:
        return [command, *args]
    if sys.platform != "linux":
        raise ConfinementError("confinement needs Linux")
    spec: dict[str, Any] = {
        "memory": confinement.memory_bytes,
        "cpu": confinement.cpu_seconds,
        "file": confinement.file_bytes,
        "files": confinement.open_files,
        "locked": not confinement.new_privileges or confinement.sandbox != "none",
    }
    inner = [command, *args]
    kind = _sandbox(confinement)
    if kind == "bubblewrap":
        inner = [*_bubblewrap(confinement, cwd, own), "--", *inner]
    elif kind == "landlock":
        spec["landlock"] = {
            "read": ["/"] if confinement.read is None else _readable(confinement, cwd),
            "write": _writable(confinement, own),
            "network": confinement.network,
        }
    launcher = importlib.util.find_spec("nexau.transports.launch")
    assert launcher is not None
    assert launcher.origin is not None
    encoded = msgspec.json.encode(spec).decode()
    return [sys.executable, "-I", "-S", launcher.origin, encoded, *inner]


def _sandbox(confinement: Confinement) -> str:
    wanted = confinement.sandbox
    if wanted == "none":
        return wanted
    if wanted in ("auto", "bubblewrap") and _has_bubblewrap():
        return "bubblewrap"
    if wanted in ("auto", "landlock") and landlock_version() > 0:
        return "landlock"
    named = "neither bubblewrap nor Landlock" if wanted == "auto" else f"no {wanted}"
    raise ConfinementError(f"a sandbox is asked for, and this machine has {named}")


@cache
def _has_bubblewrap() -> bool:
    return shutil.which("bwrap") is not None


def _bubblewrap(confinement: Confinement, cwd: str | None, own: str | None) -> list[str]:
    line = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    if not confinement.network:
        line.append("--unshare-net")
    if confinement.read is None:
        line += ["--ro-bind", "/", "/"]
    else:
        for path in _readable(confinement, cwd):
            line += ["--ro-bind-try", path, path]
    line += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    if cwd is not None and _within(cwd, "/tmp"):
        # Under the fresh /tmp it would be hidden.
        line += ["--ro-bind", cwd, cwd]
    # So would this Python, where it lives there.
    for path in (*(confinement.read or ()), *_interpreter()):
        if _within(path, "/tmp"):
            line += ["--ro-bind-try", os.path.realpath(path), path]
    for path in _writable(confinement, own):
        line += ["--bind", path, path]
    return [*line, *(("--chdir", cwd) if cwd is not None else ())]


def _readable(confinement: Confinement, cwd: str | None) -> list[str]:
    paths = [*SYSTEM, *_real(confinement.read or ()), *_real(_interpreter())]
    if cwd is not None:
        paths.append(os.path.realpath(cwd))
    return [path for path in dict.fromkeys(paths) if Path(path).exists()]


def _interpreter() -> tuple[str, ...]:
    """Where this Python lives, and the environment that it runs in."""
    return (sys.prefix, sys.base_prefix)


def _writable(confinement: Confinement, own: str | None) -> list[str]:
    return _real((*confinement.write, *(() if own is None else (own,))))


def _real(paths: Sequence[str]) -> list[str]:
    return [os.path.realpath(path) for path in paths]


def _within(path: str, top: str) -> bool:
    real = os.path.realpath(path)
    return real == top or real.startswith(f"{top}/")
