"""What a child process may use, and that nothing of it is left, whatever happens to us."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

import nexau
from nexau.testing import calls, turns
from nexau.transports.confinement import Confinement
from nexau.transports.launch import landlock_version
from nexau.transports.process import ProcessError, open_process
from nexau.transports.warden import VARIABLE, Warden

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="confinement needs Linux"),
]

PATIENT = 30.0
LEAN = Path(__file__).parents[1] / "runtime" / "servers" / "lean.py"
SANDBOXES = [
    pytest.param(
        "bubblewrap",
        marks=pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap here"),
    ),
    pytest.param(
        "landlock",
        marks=pytest.mark.skipif(landlock_version() < 1, reason="no Landlock here"),
    ),
]


async def output(code: str, *, cwd: str | None = None, **confine: Any) -> tuple[int, str]:
    """The exit status and all output of a Python program."""
    async with open_process(
        sys.executable,
        ("-I", "-S", "-c", code),
        cwd=cwd,
        pipes=False,
        confine=Confinement(**confine),
    ) as process:
        with anyio.fail_after(PATIENT):
            status = await process.wait()
            await process.wait_outputs()
        return status, process.stderr_tail()


async def test_memory() -> None:
    code = "x = bytearray(200_000_000); print('had it')"
    assert await output(code) == (0, "had it")
    status, text = await output(code, memory_bytes=100_000_000)
    assert status == 1
    assert "MemoryError" in text


async def test_cpu_time() -> None:
    status, _ = await output("while True: pass", cpu_seconds=1)
    assert status in (-signal.SIGXCPU, -signal.SIGKILL)


async def test_file_size(tmp_path: Path) -> None:
    file = tmp_path / "f"
    status, _ = await output(
        f"import os; os.write(os.open({str(file)!r}, 65), b'x' * 100_000)", file_bytes=1000
    )
    # Written as far as it may; the next write would be its end.
    assert (status, file.stat().st_size) == (0, 1000)
    code = f"import os; f = os.open({str(file)!r}, 1); os.lseek(f, 0, 2); os.write(f, b'x')"
    status, text = await output(code, file_bytes=1000)
    assert status == -signal.SIGXFSZ or "File too large" in text


async def test_open_files() -> None:
    code = "import os; [os.open('/dev/null', 0) for _ in range(100)]"
    assert (await output(code))[0] == 0
    assert "Too many open files" in (await output(code, open_files=50))[1]


async def test_no_new_privileges() -> None:
    code = "print([l for l in open('/proc/self/status') if 'NoNewPrivs' in l])"
    assert "0" in (await output(code))[1]
    assert "1" in (await output(code, new_privileges=False))[1]


async def test_no_core_is_dumped() -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert (await output(code, open_files=100))[1] == "(0, 0)"


async def test_a_directory_of_its_own() -> None:
    code = "import os; open('f', 'w'); print(os.getcwd(), os.environ['HOME'], os.environ['TMPDIR'])"
    status, text = await output(code, directory="own")
    assert status == 0
    (place,) = set(text.split())
    assert not os.path.exists(place)  # noqa: PTH110, ASYNC240


async def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ProcessError, match="no command 'none-such'"):
        async with open_process("none-such", confine=Confinement(cpu_seconds=1)):
            pass


async def test_a_sandbox_that_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexau.transports.confinement._has_bubblewrap", lambda: False)
    monkeypatch.setattr("nexau.transports.confinement.landlock_version", lambda: 0)
    with pytest.raises(ProcessError, match="neither bubblewrap nor Landlock"):
        await output("", sandbox="auto")


@pytest.mark.parametrize("sandbox", SANDBOXES)
class TestSandbox:
    async def test_writes_only_where_it_may(self, sandbox: str, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir()
        code = f"""
import os
for place in ({str(tmp_path)!r}, {str(tmp_path / "open")!r}, os.environ["TMPDIR"], "/etc"):
    try:
        open(place + "/f", "w").write("x")
        print("yes", end=" ")
    except OSError as error:
        print("no", end=" ")
"""
        options = {"sandbox": sandbox, "write": (str(tmp_path / "open"),)}
        # All of /tmp is the child's own in bubblewrap, and gone with it.
        first = "yes" if sandbox == "bubblewrap" else "no"
        assert await output(code, **options) == (0, f"{first} yes yes no")
        assert os.listdir(tmp_path) == ["open"]  # noqa: PTH208
        assert (tmp_path / "open" / "f").read_text() == "x"

    async def test_reads_only_what_it_may(self, sandbox: str, tmp_path: Path) -> None:
        for name in ("shown", "hidden"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "f").write_text(name)
        code = f"""
for name in ("shown", "hidden"):
    try:
        print(open({str(tmp_path)!r} + "/" + name + "/f").read(), end=" ")
    except OSError as error:
        print("no", end=" ")
"""
        allowed = (str(tmp_path / "shown"),)
        assert await output(code, sandbox=sandbox, read=allowed) == (0, "shown no")

    async def test_reaches_no_network(self, sandbox: str) -> None:
        if sandbox == "landlock" and landlock_version() < 4:
            pytest.skip("this kernel's Landlock leaves the network alone")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            code = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
    print("reached")
except OSError as error:
    print("no")
"""
            assert (await output(code, sandbox=sandbox))[1] == "reached"
            assert (await output(code, sandbox=sandbox, network=False))[1] == "no"

    async def test_talks_and_ends_as_ever(self, sandbox: str) -> None:
        heard = bytearray()
        code = "import sys; [sys.stdout.write(x) or sys.stdout.flush() for x in sys.stdin]"
        confine = Confinement(sandbox=sandbox, memory_bytes=1 << 30)  # type: ignore[arg-type]
        async with open_process(
            sys.executable, ("-I", "-S", "-u", "-c", code), confine=confine
        ) as process:
            process.on_stdout = heard.extend
            os.write(process.stdin_fd, b"hello\n")
            with anyio.fail_after(PATIENT):
                while heard != b"hello\n":
                    await anyio.sleep(0.01)
        assert process.returncode == 0


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_a_server_of_an_agent_in_a_sandbox(sandbox: Any, tmp_path: Path) -> None:
    server = nexau.StdioServer(
        command="{python}",
        args=("-S", "-E", str(LEAN)),
        confine=Confinement(sandbox=sandbox, memory_bytes=1 << 30, read=(str(LEAN.parent),)),
    )
    policy = turns(calls(("increment", {})), "done")
    agent = nexau.Agent("a", policy, tools=(nexau.McpTools("s"),), mcp_servers={"s": server})
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent, "go")
    assert not done.steps[0].results[0].is_error


# Without us.

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""
HOST = """
import json, os, sys, anyio
from nexau.transports.confinement import Confinement
from nexau.transports.process import open_process
async def main():
    confine = Confinement(**json.loads(sys.argv[1]))
    async with open_process(sys.executable, ["-I", "-S", "-c", sys.argv[2]], confine=confine) as it:
        it.on_stdout = lambda data: print(it.pid, int(data), flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + PATIENT
    while any(map(runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fresh_places() -> set[Path]:
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("nexau-*"))


def killed_host(confine: dict[str, Any]) -> None:
    before = fresh_places()
    with subprocess.Popen(
        [sys.executable, "-c", HOST, json.dumps(confine), DAEMON],
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdout is not None
        # A host whose child has failed would wait for ever.
        impatient = threading.Timer(PATIENT, host.kill)
        impatient.start()
        child, daemon = map(int, host.stdout.readline().split())
        impatient.cancel()
        assert runs(child)
        if confine.get("sandbox") != "bubblewrap":  # there, numbers are the namespace's own
            assert runs(daemon)
        places = fresh_places() - before
        host.kill()
    left = [] if confine.get("sandbox") == "bubblewrap" else [daemon]
    wait_until_gone(child, *left)
    deadline = time.monotonic() + PATIENT
    while any(place.exists() for place in places):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_daemons_die_with_a_killed_host() -> None:
    """Out of the group, out of the session, and nobody's child any more."""
    killed_host({})


def test_a_fresh_directory_goes_with_a_killed_host() -> None:
    killed_host({"directory": "own", "cpu_seconds": 60})


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_sandboxes_die_with_a_killed_host(sandbox: str) -> None:
    killed_host({"sandbox": sandbox})


async def test_a_daemon_goes_when_the_last_child_does() -> None:
    said = bytearray()
    async with open_process(sys.executable, ("-I", "-S", "-c", DAEMON)) as process:
        process.on_stdout = said.extend
        with anyio.fail_after(PATIENT):
            while not said.endswith(b"\n"):
                await anyio.sleep(0.01)
        assert runs(int(said))
    wait_until_gone(int(said))


async def test_children_in_other_groups_go_with_their_parent() -> None:
    """At once, while other children go on."""
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""
    said = bytearray()
    async with open_process("sleep", ("600",)):
        async with open_process(sys.executable, ("-I", "-S", "-c", code), grace=0.2) as process:
            process.on_stdout = said.extend
            with anyio.fail_after(PATIENT):
                while not said.endswith(b"\n"):
                    await anyio.sleep(0.01)
        wait_until_gone(int(said))


def test_the_mark_finds_what_was_never_announced() -> None:
    """We died between the start of a child and the word of it."""
    warden = Warden()
    warden.start()
    environment = {**os.environ, VARIABLE: warden.mark}
    with subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True) as child:
        assert warden._shell is not None
        assert warden._shell.stdin is not None
        warden._shell.stdin.close()
        warden._shell.wait()
        assert child.wait(PATIENT) == -signal.SIGKILL
