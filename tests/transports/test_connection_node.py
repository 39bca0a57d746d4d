"""The reference "everything" server of the TypeScript SDK, from npm, over stdio and over HTTP."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from nexau.transports.connection import Connection, HttpTarget, StdioTarget, open_connection
from nexau.transports.ports import free_port
from nexau.transports.process import open_process
from nexau.transports.protocol import Image, Progress, Result, Text
from tests.transports.ports import listening

pytestmark = [pytest.mark.anyio, pytest.mark.node]

PACKAGE = "@modelcontextprotocol/server-everything@2026.8.31"
PATIENT = 60.0


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script to run with node."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    cache = os.environ.get("NEXAU_TEST_CACHE")
    folder = Path(cache) if cache else tmp_path_factory.mktemp("npm")
    prefix = folder / "everything"
    script = prefix / "node_modules" / PACKAGE.rpartition("@")[0] / "dist" / "index.js"
    if not script.exists():
        prefix.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--prefix", str(prefix), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install it: {done.stderr[-200:]}")
    return str(script)


@asynccontextmanager
async def over_http(script: str, port: int) -> AsyncIterator[HttpTarget]:
    env = {"PORT": str(port)}
    args = [script, "streamableHttp"]
    async with open_process("node", args, env=env, pipes=False, grace=0.5):
        await listening(port)
        yield HttpTarget(f"http://127.0.0.1:{port}/mcp")


async def call(server: Connection, name: str, **arguments: Any) -> Result:
    return await server.call(name, arguments, call_id="c", timeout=PATIENT)


async def exercise(server: Connection) -> None:
    assert server.protocol_version == "2025-11-25"
    assert (await call(server, "echo", message="hi")).content == (Text("Echo: hi"),)
    image = await call(server, "get-tiny-image")
    assert any(isinstance(part, Image) for part in image.content)
    structured = await call(server, "get-structured-content", location="Chicago")
    assert set(structured.structured) == {"temperature", "conditions", "humidity"}
    assert (await call(server, "echo")).is_error
    assert (await call(server, "no-such-tool")).error_class == "unknown_tool"
    seen: list[Progress] = []
    await server.call(
        "trigger-long-running-operation",
        {"duration": 0.2, "steps": 2},
        call_id="c",
        timeout=PATIENT,
        on_progress=seen.append,
    )
    assert [progress.total for progress in seen] == [2, 2]
    sums: list[Result] = []

    async def add(number: int) -> None:
        sums.append(await call(server, "get-sum", a=number, b=1))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(add, number)
    assert not any(result.is_error for result in sums)
    assert await server.ping(PATIENT) < PATIENT
    assert server.statistics()["violations"] == 0


async def test_over_stdio(everything: str) -> None:
    async with open_connection(StdioTarget("node", (everything, "stdio")), name="e") as server:
        await exercise(server)


async def test_over_http(everything: str) -> None:
    async with (
        over_http(everything, free_port()) as target,
        open_connection(target, name="e") as server,
    ):
        await exercise(server)


async def test_a_restarted_server_no_longer_knows_the_session(everything: str) -> None:
    port = free_port()
    restarted = anyio.Event()
    opened = anyio.Event()

    async def serve_twice() -> None:
        async with over_http(everything, port):
            await opened.wait()
        async with over_http(everything, port):
            restarted.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_twice)
        await listening(port)
        target = HttpTarget(f"http://127.0.0.1:{port}/mcp", listen=False)
        async with open_connection(target, name="e") as server:
            assert not (await call(server, "echo", message="hi")).is_error
            opened.set()
            with anyio.fail_after(PATIENT):
                await restarted.wait()
            assert (await call(server, "echo", message="hi")).error_class == "unavailable"
            assert not server.alive
        async with open_connection(target, name="e") as server:
            assert not (await call(server, "echo", message="hi")).is_error
        tasks.cancel_scope.cancel()
