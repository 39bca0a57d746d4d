"""Thirty-two ways in which a server may misbehave in a call, over stdio and over streamable HTTP.

Each is a tool of `servers/misbehave.py`. What has to come of the call stands beside it, and that
the next call goes through, unless the server is gone.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from nexau.transports.connection import Connection, HttpTarget, StdioTarget, open_connection
from nexau.transports.process import open_process
from nexau.transports.protocol import Result, Text

pytestmark = pytest.mark.anyio

SERVER = str(Path(__file__).parent / "servers" / "misbehave.py")
SHORT = 0.3
PATIENT = 20.0


class Way(NamedTuple):
    name: str
    tool: str
    stdio: str
    """What the call says, or the class of its error."""
    http: str
    arguments: dict[str, Any] = {}  # noqa: RUF012 - read only
    violations: int = 0
    """Counted over stdio."""
    gone: bool = False
    """Whether the server is, afterwards."""


WAYS = [
    # Ids.
    Way("an id as text", "string_id", "ok", "ok"),
    Way("an id as a float", "float_id", "ok", "ok"),
    Way("an id as an object", "object_id", "timeout", "unavailable", violations=1),
    Way("an error without an id", "null_id", "timeout", "unavailable", violations=1),
    Way("the id of nobody", "wrong_id", "timeout", "unavailable", violations=1),
    # How many answers, and when.
    Way("two answers", "double", "first", "first", violations=1),
    Way("never an answer", "silent", "timeout", "timeout"),
    Way("an answer after the cancellation", "late", "timeout", "timeout"),
    Way("progress without end", "never_ending", "timeout", "timeout"),
    # Frames.
    Way("notifications in between", "chatty", "ok", "ok"),
    Way("a flood of notifications", "flood", "ok", "ok"),
    Way("frames in pieces", "split", "in pieces", "in pieces"),
    Way("frames glued together", "coalesced", "ok", "ok", violations=1),
    Way("a batch", "batch", "ok", "ok"),
    Way("line ends of another system", "crlf", "ok", "ok"),
    Way("no JSON", "garbage", "ok", "ok", violations=4),
    Way("no version", "no_version", "ok", "ok", violations=1),
    Way("invalid UTF-8", "invalid_utf8", "protocol", "protocol"),
    Way("half a JSON text", "truncated_json", "protocol", "protocol", violations=1),
    Way("nesting without end", "deep", "protocol", "protocol", violations=1),
    Way("a line of 3 MB", "huge", "too_large", "too_large", {"size": 3_000_000}, violations=1),
    Way("a result of 150 KB", "huge", "too_large", "too_large", {"size": 150_000}),
    # Shapes.
    Way("a result that is a list", "result_list", "protocol", "protocol"),
    Way("content of an unknown type", "bad_content", "protocol", "protocol"),
    Way("a result and an error", "both", "protocol", "protocol"),
    Way("neither result nor error", "neither", "protocol", "protocol"),
    Way("an error that is text", "bad_error", "protocol", "protocol"),
    Way("structured content against the schema", "breaks_schema", "protocol", "protocol"),
    Way("progress of nobody", "bad_progress", "ok", "ok", violations=1),
    # The server asks.
    Way("a hundred questions at once", "interrogate", "", "", violations=1),
    # The server goes.
    Way("half a frame and gone", "half_line", "unavailable", "unavailable", gone=True),
    Way("killed by itself", "abort", "unavailable", "unavailable", gone=True),
]
assert len({way.name for way in WAYS}) == 32


@asynccontextmanager
async def over_stdio() -> AsyncIterator[Connection]:
    target = StdioTarget(sys.executable, ("-I", "-S", SERVER))
    async with open_connection(target, name="m", max_result_bytes=100_000) as server:
        yield server


@asynccontextmanager
async def over_http() -> AsyncIterator[Connection]:
    port: list[bytes] = []
    async with open_process(sys.executable, ("-I", "-S", SERVER, "http"), grace=0.1) as process:
        told = anyio.Event()

        def hear(data: bytes) -> None:
            port.append(data)
            told.set()

        process.on_stdout = hear
        await told.wait()
        target = HttpTarget(f"http://127.0.0.1:{int(port[0])}/mcp")
        async with open_connection(target, name="m", max_result_bytes=100_000) as server:
            yield server
        process.kill()


def words(result: Result) -> str:
    return "".join(part.text for part in result.content if isinstance(part, Text))


async def call(server: Connection, name: str, timeout: float, arguments: Any) -> Result:
    with anyio.fail_after(PATIENT):
        return await server.call(name, arguments, call_id="c", timeout=timeout)


async def misbehaves(server: Connection, way: Way, expected: str) -> None:
    timeout = SHORT if expected == "timeout" else PATIENT
    result = await call(server, way.tool, timeout, way.arguments)
    assert (result.error_class or words(result)) == expected, result
    assert result.is_error == (result.error_class is not None)
    if not way.gone:
        after = await call(server, "echo", PATIENT, {"text": "still here"})
        assert words(after) == "still here"
    assert server.statistics()["in_flight"] == 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_over_stdio(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexau.transports.connection.GRACE", 0.2)
    async with over_stdio() as server:
        await misbehaves(server, way, way.stdio)
        assert server.alive != way.gone
        if not way.gone:
            assert server.statistics()["violations"] == way.violations


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_over_http(way: Way) -> None:
    async with over_http() as server:
        await misbehaves(server, way, way.http)


@pytest.mark.parametrize("opened", [over_stdio, over_http], ids=["stdio", "http"])
async def test_answers_out_of_order(opened: Any) -> None:
    said: dict[str, str] = {}

    async def one(name: str, key: str) -> None:
        said[key] = words(await call(server, name, PATIENT, {}))

    async with opened() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(one, "hold", "first")
        await anyio.sleep(0.2)
        tasks.start_soon(one, "hold", "second")
        await anyio.sleep(0.2)
        tasks.start_soon(one, "release", "third")
    assert said == {"first": "answer -2", "second": "answer -1", "third": "answer 0"}


@pytest.mark.parametrize("opened", [over_stdio, over_http], ids=["stdio", "http"])
async def test_an_answer_that_comes_late_is_counted_and_dropped(opened: Any) -> None:
    async with opened() as server:
        assert (await call(server, "late", SHORT, {})).error_class == "timeout"
        told: list[int] = []
        with anyio.fail_after(PATIENT):
            while not told:  # over HTTP by a request of its own
                told = (await call(server, "cancelled", PATIENT, {})).structured["ids"]
        assert len(told) == 1
        if opened is over_stdio:  # over HTTP the stream was closed, and nothing can come
            assert server.statistics()["late_answers"] == 1
        assert server.statistics()["violations"] == 0
