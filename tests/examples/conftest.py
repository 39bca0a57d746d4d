"""The desk's server as a subprocess, and plans played without the runtime."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "examples" / "desk" / "server.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"the server did not listen: {process.poll()=}")


@pytest.fixture(scope="module")
def desk_url() -> Iterator[str]:
    """A running desk server; sessions share nothing, so all tests can share it."""
    port = free_port()
    with subprocess.Popen([sys.executable, SERVER, "--http", "--port", str(port)]) as process:
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            assert process.wait(10) is not None
