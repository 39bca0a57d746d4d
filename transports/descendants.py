"""Who a process has started: those of its descendants that have left its group.

Read from /proc, where there is one (with CONFIG_PROC_CHILDREN). A process is known by its number
and the time at which it began, so that none is killed that has got the number since.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Strayed(NamedTuple):
    pid: int
    began: int
    """In ticks since the machine's start."""


def strayed(leader: int) -> list[Strayed]:
    """The descendants of the process `leader` that are in a group other than its own."""
    found: list[Strayed] = []
    waiting, seen = [leader], {leader}
    while waiting:
        for child in _children(waiting.pop()):
            if child in seen:
                continue
            seen.add(child)
            waiting.append(child)
            status = _status(child)
            if status is not None and status[0] != leader:
                found.append(Strayed(child, status[1]))
    return found


def kill(found: list[Strayed]) -> None:
    """SIGKILL to those that are still there."""
    for each in found:
        status = _status(each.pid)
        if status is not None and status[1] == each.began:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_bytes().split())
    return found


def _status(pid: int) -> tuple[int, int] | None:
    """The group and the start (proc(5), "/proc/pid/stat", fields 5 and 22)."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    fields = text.rpartition(b")")[2].split()
    return int(fields[2]), int(fields[19])
