"""What the system tells of the processes of a trial. They are known by their environment, whoever
their parent is by now.
"""

import os
from contextlib import suppress
from pathlib import Path

PARENTS = ("socket:", "anon_inode:")
"""Kinds of descriptors that a server has no business with: they are its parent's."""


def marked(mark: str) -> list[int]:
    """Those that live and have CHAOS=mark in their environment."""
    wanted = f"CHAOS={mark}\0".encode()
    found: list[int] = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names
        if name.isdigit():
            with suppress(OSError):
                environment = Path("/proc", name, "environ").read_bytes()
                if wanted in environment + b"\0" and state(int(name)) != "Z":
                    found.append(int(name))
    return found


def command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def state(pid: int) -> str:
    """One letter; Z for one that is gone."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


def descriptors(pid: int) -> dict[int, str]:
    """What each is open on."""
    found: dict[int, str] = {}
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names
            with suppress(OSError):
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115
    return found


def inherited(pid: int, run: Path) -> list[str]:
    """What a server holds of its parent's: connections, or files of the run's directory."""
    return [
        held
        for number, held in descriptors(pid).items()
        if number > 2 and (held.startswith(PARENTS) or held.startswith(f"{run}/"))
    ]


def kept_open(report: Path) -> list[str]:
    """What a process that ended by itself had left open, by the report of its last moment."""
    try:
        left = report.read_text().split("\n")
    except FileNotFoundError:
        return []
    left = [each for each in left if each and not _harmless(each)]
    # libuv keeps one pipe for its signals, once for a process and for good.
    wrong = len(set(left)) > 1 or any(not each.startswith("pipe:") for each in left)
    return left if wrong else []


def _harmless(descriptor: str) -> bool:
    """What Python and its libraries open once for a process."""
    return descriptor.startswith(("/dev/", "/proc/", "/usr/", "/etc/")) or "nsswitch" in descriptor
