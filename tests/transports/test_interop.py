"""The same conversation with servers of the official Python SDK, 1.x and 2.x, on every transport.

The TypeScript SDK's are in test_connection_node.py, servers that keep no rules in
test_misbehaviour.py. The Python with SDK 1.x is that of `examples/servers`' sqlite.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    Root,
    TextContent,
)

from nexau.transports.connection import (
    Connection,
    Handlers,
    HttpTarget,
    StdioTarget,
    open_connection,
)
from nexau.transports.ports import free_port
from nexau.transports.process import open_process
from nexau.transports.protocol import Progress, Result, Text
from tests.transports.ports import listening

pytestmark = [pytest.mark.anyio, pytest.mark.outside, pytest.mark.slow]

SERVERS = Path(__file__).parent / "servers"
EXAMPLES = Path(__file__).parents[2] / "examples" / "servers"
PATIENT = 30.0


@cache
def python_of(sdk: str) -> str:
    """The interpreter that has this SDK. Skips where it cannot be had; with CI set, fails."""
    if sdk == "2":
        return sys.executable
    install = (sys.executable, EXAMPLES / "install.py", "sqlite")
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(done.stderr[-300:])
    return str(EXAMPLES / ".cache" / "sqlite" / "bin" / "python")


async def name_oneself(*_: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Ada"})


async def explain(*_: Any) -> CreateMessageResult:
    text = TextContent(type="text", text="Because.")
    return CreateMessageResult(role="assistant", content=text, model="m")


async def point_at(*_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///work")])  # type: ignore[arg-type]


HANDLERS = Handlers(sampling=explain, elicitation=name_oneself, roots=point_at)


@asynccontextmanager
async def opened(sdk: str, wire: str) -> AsyncIterator[Connection]:
    script = str(SERVERS / ("sdk1_server.py" if sdk == "1" else "sdk_server.py"))
    python = python_of(sdk)
    if wire == "stdio":
        target = StdioTarget(python, (script, "stdio"))
        async with open_connection(target, name="sdk", handlers=HANDLERS) as server:
            yield server
        return
    port = free_port()
    args = (script, "http", str(port), *(("json",) if wire == "json" else ()))
    async with open_process(python, args, pipes=False, grace=0.2):
        await listening(port)
        http_target = HttpTarget(f"http://127.0.0.1:{port}/mcp")
        async with open_connection(http_target, name="sdk", handlers=HANDLERS) as server:
            yield server


async def call(server: Connection, name: str, timeout: float = PATIENT, **arguments: Any) -> Result:
    return await server.call(name, arguments, call_id="c", timeout=timeout)


def words(result: Result) -> str:
    return "".join(part.text for part in result.content if isinstance(part, Text))


@pytest.mark.parametrize("wire", ["stdio", "json", "events"])
@pytest.mark.parametrize("sdk", ["1", "2"])
async def test_converses(sdk: str, wire: str) -> None:
    async with opened(sdk, wire) as server:
        assert server.protocol_version == ("2025-11-25" if sdk == "1" else "2026-07-28")
        await calls_and_errors(server)
        await many_at_once(server)
        # A server that answers with plain JSON has no way to say anything in between.
        if wire != "json":
            await in_between(server)
            assert words(await call(server, "greet")) == "Hello, Ada"
            if sdk == "1":  # 2026-07-28 has neither
                assert words(await call(server, "think")) == "Because."
                assert words(await call(server, "where")).rstrip("/") == "file:///work"
        await gives_up(server, sdk)
        assert await server.ping(PATIENT) < PATIENT
        assert server.statistics()["violations"] == 0


async def calls_and_errors(server: Connection) -> None:
    assert words(await call(server, "echo", text="Zürich ✓")) == "Zürich ✓"
    assert (await call(server, "add", a=1, b=2)).structured == {"total": 3}
    failed = await call(server, "fail")
    assert failed.error_class == "tool_error"
    assert words(failed)
    assert (await call(server, "add", a="one")).is_error
    assert (await call(server, "nope")).error_class == "unknown_tool"


async def many_at_once(server: Connection) -> None:
    said: list[bool] = []

    async def one(number: int) -> None:
        said.append(words(await call(server, "echo", text=str(number))) == str(number))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert said == [True] * 50


async def in_between(server: Connection) -> None:
    seen: list[Progress] = []
    await server.call("count", {"to": 3}, call_id="c9", timeout=PATIENT, on_progress=seen.append)
    assert [(each.id, each.progress, each.total) for each in seen] == [
        ("c9", number, 3) for number in (1, 2, 3)
    ]
    told = anyio.Event()
    server.on_tools_changed = told.set
    await call(server, "grow")
    with anyio.fail_after(PATIENT):
        await told.wait()
    await server.refresh()
    assert "new" in {tool.name for tool in server.tools}


async def gives_up(server: Connection, sdk: str) -> None:
    assert (await call(server, "slow", 0.3, seconds=60)).error_class == "timeout"
    if sdk == "1":  # the other does not count them
        with anyio.fail_after(PATIENT):
            while words(await call(server, "given_up")) != "1":
                await anyio.sleep(0.02)
