"""Becomes a confined process: sets limits on itself, then runs the command that it is given.

    python -I -S launch.py SPEC COMMAND [ARGUMENT...]

Runs outside the program that starts it, where nothing but this process can be harmed: between fork
and exec, a program with threads may do next to nothing. Standard library only.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls of Landlock, the same on all architectures (linux/landlock.h, kernel 5.13)."""
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BY_VERSION = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
"""What each version of the interface, from 1, can hold back: all of it is."""
_TCP_BIND, _TCP_CONNECT = 1, 2
_SCOPES = 3
"""Abstract Unix sockets and signals of processes outside (version 6)."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")

FAILED = 126
"""The exit status of what could not become the command."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """Of the kernel's interface; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    found = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, int(found))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _lock() -> None:
    """No more privileges from here on, for this process and all that it starts."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _restrict(read: list[str], write: list[str], *, network: bool) -> None:
    libc = _libc()
    version = landlock_version()
    if version < 1:
        raise OSError(errno.ENOSYS, "the kernel has no Landlock")
    everything = _BY_VERSION[min(version, len(_BY_VERSION)) - 1]
    rules = _Ruleset(everything)
    size = 8
    if version >= 4:
        rules.network = 0 if network else _TCP_BIND | _TCP_CONNECT
        size = 16
    if version >= 6:
        rules.scoped = _SCOPES
        size = 24
    ruleset = _check(
        libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0), "landlock"
    )
    for path in read:
        _allow(libc, ruleset, path, _READ & everything)
    for path in (*write, *_DEVICES):
        _allow(libc, ruleset, path, everything)
    _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    if not os.path.isdir(path):  # noqa: PTH112 - no module but these few
        rights &= _OF_FILES
    beneath = _Beneath(rights, descriptor)
    added = libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)
    os.close(descriptor)
    _check(added, f"landlock: {path}")


def _limit(kind: int, value: int | None, *, above: int = 0) -> None:
    if value is None:
        return
    _, hard = resource.getrlimit(kind)
    highest = value + above if hard == resource.RLIM_INFINITY else min(value + above, hard)
    resource.setrlimit(kind, (min(value, highest), highest))


def main(spec: dict[str, Any], command: list[str]) -> None:
    _limit(resource.RLIMIT_DATA, spec["memory"])
    _limit(resource.RLIMIT_CPU, spec["cpu"], above=1)
    _limit(resource.RLIMIT_FSIZE, spec["file"])
    _limit(resource.RLIMIT_NOFILE, spec["files"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec["locked"]:
        _lock()
    landlock = spec.get("landlock")
    if landlock is not None:
        _restrict(landlock["read"], landlock["write"], network=landlock["network"])
    # The interpreter ignores these, and what is ignored would stay so in what it becomes.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot run {sys.argv[2]}: {error}\n")
        sys.exit(FAILED)
