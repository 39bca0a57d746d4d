"""Child processes that leave nothing behind: no zombie, no grandchild, no descriptor.

Each child leads a session and process group of its own. Closing it goes: end of file on its stdin,
a grace period, SIGTERM to the group, another, SIGKILL to the group; the child is reaped last, so
that its group's number cannot be given to anybody else in between. POSIX only.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from nexau.transports.confinement import Confinement, ConfinementError, command_line
from nexau.transports.descendants import Strayed, kill, strayed
from nexau.transports.log import get_logger
from nexau.transports.pipes import pump
from nexau.transports.scoping import Keepers, keepers
from nexau.transports.warden import WARDEN

log = get_logger(__name__)

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""Environment variables that a child gets from ours: nothing that holds a secret."""

GRACE = 2.0
"""Seconds that a child has to end after its stdin closed, and again after SIGTERM."""

TAIL_BYTES = 16_384
_POLL = 0.02


class ProcessError(Exception):
    """A child that could not be started. The text says why."""


class Process:
    """A running child. Made by `open_process`."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._pidfd = _pidfd(popen.pid)
        self._tail = bytearray()
        self._tail_dropped = False
        self._exited = anyio.Event()
        self._outputs = 0
        self._strayed: list[Strayed] = []
        """Descendants that have left the group."""
        self._outputs_ended = anyio.Event()
        self.on_stdout: Callable[[bytes], None] = _discard
        """What becomes of stdout, unless it is kept with stderr."""
        self.on_stdout_end: Callable[[], None] = _nothing
        self.stdout_ended = False
        self.returncode: int | None = None
        """As `subprocess` gives it: negative for a signal. None while it runs."""

    @property
    def pid(self) -> int:
        """Also the number of its process group."""
        return self._popen.pid

    @property
    def stdin_fd(self) -> int:
        assert self._popen.stdin is not None
        return self._popen.stdin.fileno()

    def stderr_tail(self) -> str:
        """The last `TAIL_BYTES` of what it wrote to stderr."""
        text = self._tail.decode(errors="replace").strip()
        return f"...{text}" if self._tail_dropped else text

    async def wait(self) -> int:
        """Wait until it ends. Returns `returncode`."""
        await self._exited.wait()
        assert self.returncode is not None
        return self.returncode

    async def wait_outputs(self) -> None:
        """Wait until stdout and stderr have ended (a grandchild may hold them open)."""
        await self._outputs_ended.wait()

    def terminate(self) -> None:
        """SIGTERM to the group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError is macOS's answer for a group that holds nothing but a zombie.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _keep(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
            self._tail_dropped = True

    def _stdout(self, data: bytes) -> None:
        self.on_stdout(data)

    def start(self, tasks: Keepers) -> None:
        """Read its output and watch for its end, in `tasks`."""
        popen = self._popen
        for stream in (popen.stdin, popen.stdout, popen.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
        assert popen.stdout is not None
        feed = self._stdout if popen.stderr is not None else self._keep
        tasks.start_soon(self._read, popen.stdout.fileno(), feed)
        if popen.stderr is not None:
            tasks.start_soon(self._read, popen.stderr.fileno(), self._keep)
        tasks.start_soon(self._watch)

    async def _read(self, fd: int, feed: Callable[[bytes], None]) -> None:
        self._outputs += 1
        try:
            await pump(fd, feed)
        except OSError as error:
            log.debug("output_lost", pid=self.pid, error=str(error))
        self._outputs -= 1
        if not self._outputs:
            self._outputs_ended.set()
        if feed == self._stdout:
            self.stdout_ended = True
            self.on_stdout_end()

    async def _watch(self) -> None:
        """Notice the end without reaping."""
        while (status := _status(self.pid)) is None:
            if self._pidfd is None:
                await anyio.sleep(_POLL)
            else:
                await anyio.wait_readable(self._pidfd)
        self.returncode = status
        self._exited.set()

    async def stop(self, grace: float) -> None:
        """End it within about three times `grace` seconds, by force where it must be."""
        self._strayed = strayed(self.pid)
        self.on_stdout = _discard
        self.on_stdout_end = _nothing
        if self._popen.stdin is not None:
            self._popen.stdin.close()
            if await self._exits_within(grace):
                return
        self.terminate()
        if await self._exits_within(grace):
            return
        self.kill()
        if not await self._exits_within(max(grace, 1.0)):
            log.warning("unkillable_process", pid=self.pid)

    def bury(self) -> None:
        """Kill what is left of the group, reap the child, close the descriptors."""
        self.kill()
        kill(self._strayed)
        with suppress(subprocess.TimeoutExpired):
            self.returncode = self._popen.wait(0 if self._exited.is_set() else 1)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()
        if self._pidfd is not None:
            os.close(self._pidfd)

    async def _exits_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._exited.wait()
        return self._exited.is_set()


@asynccontextmanager
async def open_process(
    command: str,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    pipes: bool = True,
    grace: float = GRACE,
    confine: Confinement = Confinement(),  # noqa: B008 - frozen
) -> AsyncIterator[Process]:
    """Run a child while the block lasts.

    With `pipes`, its stdin is `stdin_fd` (non-blocking) and its stdout goes to `on_stdout`;
    without, stdin is empty and stdout is kept with stderr. `env` is added to the variables that
    `INHERITED` names. `grace` is in seconds; `confine` bounds what it may use. Raises
    ProcessError.
    """
    async with _place(confine) as place:
        given = dict(env or {}) | WARDEN.environment
        if place is not None:
            given |= {"TMPDIR": place}
            if confine.directory == "own":
                given |= {"HOME": place}
                cwd = place
        try:
            popen = _spawn(command, args, given, cwd, confine, place, pipes=pipes)
        except ProcessError:
            WARDEN.rest()
            raise
        process = Process(popen)
        try:
            WARDEN.watch(popen.pid)
            async with keepers() as tasks:
                process.start(tasks)
                try:
                    yield process
                finally:
                    with anyio.CancelScope(shield=True):
                        await process.stop(grace)
        finally:
            process.bury()
            WARDEN.forget(popen.pid)


@asynccontextmanager
async def _place(confine: Confinement) -> AsyncIterator[str | None]:
    """A fresh directory, where one is asked for, while the block lasts; gone even if we are
    killed.
    """
    if not confine.fresh:
        yield None
        return
    place = tempfile.mkdtemp(prefix="nexau-")
    WARDEN.keep_place(place)
    try:
        yield place
    finally:
        with anyio.CancelScope(shield=True):
            remove = partial(shutil.rmtree, place, ignore_errors=True)
            await anyio.to_thread.run_sync(remove)
        WARDEN.forget_place(place)


def _spawn(
    command: str,
    args: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    confine: Confinement,
    place: str | None,
    *,
    pipes: bool,
) -> subprocess.Popen[bytes]:
    environment = minimal_environment() | dict(env)
    if confine.launched and not _exists(command, environment.get("PATH"), cwd):
        raise ProcessError(f"no command {command!r}")
    # Not in a worker thread: the fork holds the GIL all the same, and a cancellation that arrives
    # while a thread forks would lose the child.
    WARDEN.start()
    try:
        return subprocess.Popen(
            command_line(confine, command, args, cwd, place),
            bufsize=0,
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if pipes else subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        missing = f"no directory {cwd!r}" if error.filename == cwd else f"no command {command!r}"
        raise ProcessError(missing) from error
    except ConfinementError as error:
        raise ProcessError(f"cannot run {command!r}: {error}") from error
    except (OSError, ValueError) as error:
        raise ProcessError(f"cannot run {command!r}: {error}") from error


def _exists(command: str, path: str | None, cwd: str | None) -> bool:
    """What the launcher could only find out when it is too late to say it well."""
    named = str(Path(cwd or ".") / command) if "/" in command else command
    return shutil.which(named, path=path) is not None


def minimal_environment() -> dict[str, str]:
    """The variables in `INHERITED` that are set, without exported shell functions."""
    return {
        key: value
        for key in INHERITED
        if (value := os.environ.get(key)) is not None and not value.startswith("()")
    }


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _status(pid: int) -> int | None:
    """The return code of a child that has ended; it stays a zombie."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        # The host ignores SIGCHLD, or reaps what is not its own.
        return 0
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def describe_exit(returncode: int) -> str:
    """`exited with status 3`, `was killed by SIGSEGV`."""
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def _discard(data: bytes) -> None:
    pass


def _nothing() -> None:
    pass
