"""A session from its opening to its close, with the official SDK's server and with broken ones."""

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp.client.session import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from nexau.transports.connection import (
    Connection,
    ConnectionFailed,
    Handlers,
    StdioTarget,
    open_connection,
)
from nexau.transports.protocol import (
    Audio,
    Image,
    Progress,
    Resource,
    ResourceContents,
    ResourceLink,
    Result,
    Text,
)

pytestmark = pytest.mark.anyio

SERVERS = Path(__file__).parent / "servers"
PATIENT = 30.0


def sdk(**options: Any) -> AbstractAsyncContextManager[Connection]:
    target = StdioTarget(sys.executable, (str(SERVERS / "sdk_server.py"), "stdio"))
    return open_connection(target, name="sdk", **options)


def misbehaving(start: str = "", **options: Any) -> AbstractAsyncContextManager[Connection]:
    target = StdioTarget(sys.executable, ("-I", "-S", str(SERVERS / "misbehave.py"), start))
    return open_connection(target, name="misbehave", **options)


@pytest.fixture
async def server() -> AsyncIterator[Connection]:
    async with sdk() as connection:
        yield connection


async def call(server: Connection, name: str, **arguments: Any) -> Result:
    return await server.call(name, arguments, call_id="c", timeout=PATIENT)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


# A server of the newest revision.


async def test_speaks_the_newest_revision(server: Connection) -> None:
    assert server.protocol_version == "2026-07-28"
    assert server.server_info is not None
    assert (server.server_info.name, server.server_info.version) == ("sdk-server", "1.2.3")
    assert server.alive
    assert await server.ping(PATIENT) < PATIENT

    (add,) = [tool for tool in server.tools if tool.name == "add"]
    assert add.description == "Add two numbers."
    assert add.parameters["required"] == ["a", "b"]
    (fail,) = [tool for tool in server.tools if tool.name == "fail"]
    assert fail.annotations == {"readOnlyHint": True}


async def test_keeps_every_kind_of_content(server: Connection) -> None:
    result = await call(server, "mixed")
    assert result.content == (
        Text("hello"),
        Image("cG5n", "image/png"),
        Audio("d2F2", "audio/wav"),
        Resource(ResourceContents("note://1", "text/plain", text="a note")),
        ResourceLink("note://2", "another", size=5),
    )
    total = await call(server, "add", a=1, b=2)
    assert total.structured == {"total": 3}
    assert total.error_class is None


async def test_errors_are_results(server: Connection) -> None:
    assert (await call(server, "fail")).error_class == "tool_error"
    assert (await call(server, "no_such_tool")).error_class == "unknown_tool"
    # It asks for input, and nobody is there to give any.
    assert (await call(server, "greet")).error_class == "tool_error"
    for bad in (object(), "\ud800"):
        result = await call(server, "echo", text=bad)
        assert result.error_class == "invalid_arguments"
    statistics = server.statistics()
    assert statistics["errors"] == {"tool_error": 2, "unknown_tool": 1, "invalid_arguments": 2}
    assert (statistics["calls"], statistics["in_flight"]) == (5, 0)


async def test_many_calls_at_once_each_get_their_own_answer(server: Connection) -> None:
    answers: dict[int, Any] = {}
    seen: list[Progress] = []

    async def one(number: int) -> None:
        answers[number] = (await call(server, "echo", text=str(number))).structured["result"]

    async def count() -> None:
        await server.call(
            "count", {"to": 3}, call_id="c9", timeout=PATIENT, on_progress=seen.append
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        for number in range(100):
            tasks.start_soon(one, number)
    assert answers == {number: str(number) for number in range(100)}
    assert seen == [Progress("c9", float(n), 3.0, f"at {n}") for n in (1, 2, 3)]


async def test_hears_of_new_tools(server: Connection) -> None:
    told = anyio.Event()
    server.on_tools_changed = told.set
    await call(server, "grow")
    with anyio.fail_after(PATIENT):
        await told.wait()
    await server.refresh()
    assert "new" in {tool.name for tool in server.tools}
    assert (await call(server, "new")).error_class is None


async def test_answers_a_server_that_asks_in_between() -> None:
    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with sdk(handlers=Handlers(elicitation=elicit)) as server:
        assert (await call(server, "greet")).structured == {"result": "Hello, Ada"}


# Opening.


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("exits", "exited with status 1\nit wrote to stderr: no API key"),
        ("killed", "was killed by SIGKILL"),
        ("nonsense", "result is malformed"),
        ("bad_version", "1999-01-01"),
        ("endless_cursor", "the cursor 'again' twice"),
    ],
)
async def test_says_why_no_session_came_about(start: str, reason: str) -> None:
    before = children()
    with pytest.raises(ConnectionFailed, match=reason) as raised:
        async with misbehaving(start):
            pytest.fail("opened")
    assert str(raised.value).startswith("misbehave: ")
    assert children() == before


@pytest.mark.parametrize(
    ("start", "timeout", "reason"),
    [
        ("mute", 0.3, r"did not answer in time \(0\.3 s\)"),
        # Time enough to have written it.
        ("banner", 5, "it wrote to stdout: Usage: something else entirely"),
    ],
)
async def test_gives_up_on_a_server_that_never_answers(
    start: str, timeout: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexau.transports.connection.GRACE", 0.1)
    before = children()
    with pytest.raises(ConnectionFailed, match=reason):
        async with misbehaving(start, start_timeout=timeout):
            pytest.fail("opened")
    assert children() == before


async def test_says_that_there_is_no_such_command() -> None:
    target = StdioTarget("no-such-command-anywhere")
    with pytest.raises(ConnectionFailed, match=r"^x: no command 'no-such-command-anywhere'$"):
        async with open_connection(target, name="x"):
            pytest.fail("opened")


async def test_starts_a_server_again_that_ends_at_the_probe() -> None:
    async with misbehaving("discover_kills") as server:
        assert server.protocol_version == "2025-11-25"
        assert (await call(server, "echo", text="hi")).content == (Text("hi"),)


async def test_follows_the_pages_of_the_list() -> None:
    async with misbehaving() as server:
        names = [tool.name for tool in server.tools]
        assert len(names) > 40
        assert names == sorted(names)


async def test_a_server_without_tools_has_none() -> None:
    async with misbehaving("no_tools") as server:
        assert server.tools == ()


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1])
async def test_can_be_cancelled_at_any_time(delay: float) -> None:
    before = children()
    with anyio.move_on_after(delay):
        async with misbehaving() as server:
            while True:
                await call(server, "echo", text="hi")
    assert children() == before


# Closing.


async def test_closes_without_a_trace() -> None:
    before = children()
    async with misbehaving() as server:
        reason: list[str | None] = ["not told"]

        async def watch() -> None:
            reason[0] = await server.wait_closed()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert not server.alive
    assert await server.wait_closed() is None
    assert children() == before
    result = await call(server, "echo", text="?")
    assert result.error_class == "unavailable"


async def test_ends_a_server_that_does_not_want_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexau.transports.connection.GRACE", 0.2)
    before = children()
    async with misbehaving("stubborn") as server:
        await call(server, "echo", text="hi")
    assert children() == before


async def test_ends_grandchildren() -> None:
    async with misbehaving() as server:
        said = (await call(server, "grandchild")).content[0]
        assert isinstance(said, Text)
        pid = int(said.text)
        assert psutil.pid_exists(pid)
    with anyio.fail_after(PATIENT):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
            await anyio.sleep(0.01)


async def test_what_the_block_raises_leaves_as_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        async with misbehaving():
            raise ZeroDivisionError


async def test_calls_in_flight_end_when_the_block_does() -> None:
    results: list[Result] = []
    async with anyio.create_task_group() as tasks:
        async with misbehaving() as server:

            async def one() -> None:
                results.append(await call(server, "silent"))

            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
    assert [result.error_class for result in results] == ["unavailable"]


@pytest.mark.slow
async def test_a_hundred_sessions_leave_nothing_open() -> None:
    async def one() -> None:
        async with misbehaving() as server:
            assert (await call(server, "echo", text="hi")).content == (Text("hi"),)

    await one()
    before = descriptors(), children()
    for _ in range(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
    assert (descriptors(), children()) == before
