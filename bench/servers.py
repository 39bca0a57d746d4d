"""The MCP servers of the cases: command lines, and HTTP servers for the length of a run."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case
from bench.work import script
from nexau.transports.ports import free_port

HERE = Path(__file__).resolve().parent
WORLD = HERE.parent / "examples/worlds/retail-returns.yaml"

START_SECONDS = 30.0
STOP_SECONDS = 5.0


class ServerFailed(Exception):
    """A server did not come up; the text holds the end of its stderr."""


@dataclass(frozen=True)
class Server:
    url: str
    pid: int


def command(case: Case, cores: str, *extra: str) -> list[str]:
    """Starts the server of a case, held to some cores."""
    pinned = [sys.executable, str(HERE / "pinned.py"), cores, sys.executable]
    if case.server == "desk":
        serve = ["-m", "nexau.cli.main", "world", "serve", str(WORLD), "--delay"]
        http = ["--http"] if case.tool == "http" else []
        return [*pinned, *serve, str(case.tool_seconds * 1000), *http, *extra]
    latency = ["--latency", str(case.tool_seconds)] if case.tool_seconds else []
    return [*pinned, str(HERE / "lean_server.py"), f"--{case.tool}", *latency, *extra]


@contextmanager
def http_server(case: Case, cores: str) -> Iterator[Server]:
    """The HTTP server of a case, until the block ends. Raises `ServerFailed`."""
    port = free_port() if case.server == "desk" else 0
    extra = ["--port", str(port)] if port else []
    if case.isolated:
        extra.append("--sessions")
    process = subprocess.Popen(
        command(case, cores, *extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if port:
            url = f"http://127.0.0.1:{port}/mcp"
            _wait_until_up(process, url)
        else:
            line = process.stdout.readline()
            if not line:
                raise ServerFailed(f"{case.name}: the server ended with {process.wait()}")
            url = json.loads(line)["url"]
        yield Server(url, process.pid)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def model_server(case: Case, cores: str) -> Iterator[Server]:
    """The model of a case as an HTTP server that plays the case's turns. Raises `ServerFailed`."""
    turns = [
        [{"name": name, "arguments": args} for name, args in say.calls] for say in script(case, "")
    ]
    plan = json.dumps({"turns": turns[:-1], "answer": script(case, "")[-1].text})
    pinned = [sys.executable, str(HERE / "pinned.py"), cores, sys.executable]
    process = subprocess.Popen(
        [
            *(*pinned, "-m", "bench.fake_model", "--until-eof", "--plan", plan),
            *("--latency", str(case.model_seconds)),
        ],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise ServerFailed(f"{case.name}: the model ended with {process.wait()}")
        yield Server(json.loads(line)["url"], process.pid)
    finally:
        process.stdin.close()
        process.stdout.read()  # it says what it has spent
        process.stdout.close()
        process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServerFailed(f"{url}: the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return  # it answers: a GET without a session is refused
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ServerFailed(f"{url}: no answer within {START_SECONDS:g} s")
