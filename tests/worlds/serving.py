"""A served world as a subprocess."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from nexau.transports.ports import free_port

ROOT = Path(__file__).parents[2]
RETAIL = ROOT / "examples" / "worlds" / "retail-returns.yaml"
COMMAND = (sys.executable, "-m", "nexau.cli.main", "world", "serve")


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"the server did not listen: {process.poll()=}")


@contextmanager
def served(world: Path, *options: str) -> Iterator[str]:
    """The URL of a world over HTTP."""
    port = free_port()
    command = [*COMMAND, str(world), "--http", "--port", str(port), *options]
    with subprocess.Popen(command) as process:
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(150)
