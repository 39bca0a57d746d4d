"""CPU time and memory of processes, from /proc. Standard library only.

Where there is no /proc, only what the process itself can tell is known: other processes have used
0 seconds, and RSS is the peak. Both show as such in a report taken there.
"""

import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def own_cpu() -> float:
    """Seconds of user and system time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(pids: Iterable[int]) -> float:
    """The same of others, to 10 ms. A process that has gone counts nothing."""
    return sum((int(f[11]) + int(f[12])) / _TICKS for f in map(_stat, pids) if f)


def descendants(pid: int) -> list[int]:
    """Of children and all below."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    left = [pid]
    while left:
        below = parents.get(left.pop(), [])
        found += below
        left += below
    return found


def rss() -> int:
    """Bytes of this process in memory now."""
    try:
        return int((_PROC / "self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return peak_rss()


def peak_rss() -> int:
    """Bytes of this process in memory at most.

    Not `ru_maxrss` where it can be had otherwise: Linux hands that on from the parent over exec.
    """
    try:
        for line in (_PROC / "self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on: the name before may hold spaces."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
