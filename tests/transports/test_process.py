"""Children end with the block that runs them, and take everything with them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import psutil
import pytest

from nexau.transports import warden
from nexau.transports.process import Process, ProcessError, describe_exit, open_process
from nexau.transports.warden import Warden

pytestmark = pytest.mark.anyio

PATIENT = 20.0
CAT = "import sys; [sys.stdout.write(line) or sys.stdout.flush() for line in sys.stdin]"


def python(code: str) -> tuple[str, tuple[str, ...]]:
    return sys.executable, ("-I", "-S", "-u", "-c", code)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def runs(pid: int) -> bool:
    """Whether it is alive: an orphan may stay a zombie until init looks after it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(pid: int) -> None:
    with anyio.fail_after(PATIENT):
        while runs(pid):
            await anyio.sleep(0.01)


async def test_talks_through_its_pipes() -> None:
    heard = bytearray()
    async with open_process(*python(CAT)) as process:
        process.on_stdout = heard.extend
        os.write(process.stdin_fd, b"hello\n")
        with anyio.fail_after(PATIENT):
            while heard != b"hello\n":
                await anyio.sleep(0.01)
    assert process.returncode == 0
    assert not psutil.pid_exists(process.pid)


async def test_has_a_minimal_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    heard = bytearray()
    code = "import os; print(sorted(os.environ))"
    async with open_process(*python(code), env={"MINE": "1"}) as process:
        process.on_stdout = heard.extend
        with anyio.fail_after(PATIENT):
            await process.wait()
            await process.wait_outputs()
    assert b"'MINE'" in heard
    assert b"'PATH'" in heard
    assert b"SOME_API_KEY" not in heard


async def test_tells_how_it_ended() -> None:
    async with open_process(*python("import sys; sys.exit('oh no')")) as process:
        with anyio.fail_after(PATIENT):
            assert await process.wait() == 1
            await process.wait_outputs()
        assert process.stderr_tail() == "oh no"
    assert describe_exit(1) == "exited with status 1"
    assert describe_exit(-signal.SIGSEGV) == "was killed by SIGSEGV"
    assert describe_exit(-250) == "was killed by signal 250"


async def test_keeps_stdout_with_stderr_without_pipes() -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.stdin.read()"
    async with open_process(*python(code), pipes=False) as process:
        with anyio.fail_after(PATIENT):
            await process.wait()
            await process.wait_outputs()
        assert process.stderr_tail() == "out\nerr"


@pytest.mark.parametrize(
    ("command", "cwd", "text"),
    [
        ("no-such-command-anywhere", None, "no command 'no-such-command-anywhere'"),
        (sys.executable, "/no/such/place", "no directory '/no/such/place'"),
        ("/", None, "cannot run '/'"),
        ("a\0b", None, "cannot run"),
    ],
)
async def test_says_why_it_cannot_start(command: str, cwd: str | None, text: str) -> None:
    before = children()
    with pytest.raises(ProcessError, match=text):
        async with open_process(command, cwd=cwd):
            pytest.fail("started")
    assert children() == before


# Ending it.

IGNORES_STDIN = "import time; time.sleep(600)"
IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(600)"
CHILD_IGNORES_SIGTERM = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {IGNORES_SIGTERM!r}], stdout=2)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("code", "grace", "returncode"),
    [
        (f"print()\n{CAT}", PATIENT, 0),
        (f"print()\n{IGNORES_STDIN}", 0.1, -signal.SIGTERM),
        (IGNORES_SIGTERM, 0.1, -signal.SIGKILL),
    ],
)
async def test_ends_a_child_with_as_much_force_as_it_takes(
    code: str, grace: float, returncode: int
) -> None:
    started = anyio.Event()
    async with open_process(*python(code), grace=grace) as process:
        process.on_stdout = lambda _: started.set()
        with anyio.fail_after(PATIENT):
            await started.wait()
    assert process.returncode == returncode
    assert not psutil.pid_exists(process.pid)


async def test_ends_grandchildren_that_outlive_the_child() -> None:
    heard = bytearray()
    async with open_process(*python(CHILD_IGNORES_SIGTERM), grace=PATIENT) as process:
        process.on_stdout = heard.extend
        with anyio.fail_after(PATIENT):
            while not heard.endswith(b"\n"):
                await anyio.sleep(0.01)
    assert process.returncode == 0
    await gone(int(heard))


async def test_ends_the_child_of_a_cancelled_block() -> None:
    before = children()
    ran: list[Process] = []
    with anyio.move_on_after(0.1) as scope:
        async with open_process(*python(IGNORES_STDIN), grace=0.1) as process:
            ran.append(process)
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert ran[0].returncode == -signal.SIGTERM
    assert children() == before


async def test_ends_the_child_while_cancelled_in_its_grace_period() -> None:
    before = children()
    with anyio.move_on_after(0.1):
        async with open_process(*python(IGNORES_STDIN), grace=0.4):
            pass
    assert children() == before


async def test_ends_the_child_of_a_block_that_raises() -> None:
    before = children()
    with pytest.raises(ZeroDivisionError):
        async with open_process(*python(CAT)):
            raise ZeroDivisionError
    assert children() == before


async def test_leaks_no_descriptor() -> None:
    async def one() -> None:
        async with open_process(*python(CAT)):
            await anyio.sleep(0)

    await one()
    before = descriptors()
    for _ in range(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(one)
    assert descriptors() == before


# Without us.

HOST = f"""
import sys, anyio
from nexau.transports.process import open_process
async def main():
    args = ["-I", "-S", "-u", "-c", {CHILD_IGNORES_SIGTERM!r}]
    async with open_process(sys.executable, args) as child:
        said = bytearray()
        def hear(data):
            said.extend(data)
            if said.endswith(b"\\n"):
                print(child.pid, int(said), flush=True)
        child.on_stdout = hear
        await anyio.sleep_forever()
anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_children_and_grandchildren_die_with_a_killed_host(backend: str) -> None:
    command = [sys.executable, "-c", HOST, backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 2
        assert all(runs(pid) for pid in pids)
        host.kill()
    deadline = time.monotonic() + PATIENT
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def test_the_warden_ends_with_its_last_group() -> None:
    before = children()
    warden = Warden()
    warden.watch(2**22 + 1)
    warden.watch(2**22 + 2)
    warden.forget(2**22 + 1)
    assert len(children() - before) == 1
    warden.forget(2**22 + 2)
    assert children() == before


def test_a_warden_that_was_killed_is_replaced() -> None:
    warden = Warden()
    before = children()
    with sleeper() as one, sleeper() as other:
        warden.watch(one.pid)
        (shell,) = children() - before - {one.pid} - {other.pid}
        os.kill(shell, signal.SIGKILL)
        while psutil.Process(shell).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        warden.watch(other.pid)
        (shell,) = children() - before - {one.pid, other.pid}
        # What happens when we die: the pipe ends.
        assert warden._shell is not None
        assert warden._shell.stdin is not None
        warden._shell.stdin.close()
        warden._shell.wait()
        assert one.wait() == -signal.SIGKILL
        assert other.wait() == -signal.SIGKILL


def test_does_without_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nexau.transports.warden.SHELL", str(tmp_path / "none"))
    warden = Warden()
    warden.watch(1)
    warden.forget(1)


@pytest.mark.parametrize("told", [b"", b"+ 4194303\n", b"m NEXAU_KEEPER=cut short"])
def test_a_warden_that_was_told_no_mark_kills_nobody_by_it(told: bytes) -> None:
    """An empty pattern is found in every environment there is."""
    harmless = warden._SCRIPT.replace("kill -9", "echo kill")
    done = subprocess.run(
        [warden.SHELL, "-c", harmless], input=told, env={}, capture_output=True, check=True
    )
    assert done.stdout.split() == ([b"kill", b"-4194303"] if told.startswith(b"+") else [])


def test_a_process_that_is_forked_off_has_a_mark_of_its_own() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, warden.WARDEN.mark.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    mark = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert mark
    assert mark != warden.WARDEN.mark
