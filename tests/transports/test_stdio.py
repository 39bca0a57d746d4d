"""A server over stdio that breaks the protocol, one way a test."""

import random
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ElicitResult

from nexau.transports.connection import Connection, Handlers, StdioTarget, open_connection
from nexau.transports.protocol import ErrorClass, Progress, Result, Text

pytestmark = pytest.mark.anyio

SERVER = str(Path(__file__).parent / "servers" / "misbehave.py")
SHORT = 0.3
"""Seconds until a call that is never answered times out."""
PATIENT = 20.0


def misbehaving(start: str = "", **options: Any) -> AbstractAsyncContextManager[Connection]:
    target = StdioTarget(sys.executable, ("-I", "-S", SERVER, start))
    return open_connection(target, name="misbehave", **options)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    monkeypatch.setattr("nexau.transports.connection.GRACE", 0.5)
    async with misbehaving(max_result_bytes=100_000) as connection:
        yield connection


async def call(server: Connection, name: str, timeout: float = PATIENT, **arguments: Any) -> Result:
    with anyio.fail_after(PATIENT):
        return await server.call(name, arguments, call_id="c", timeout=timeout)


def words(result: Result) -> str:
    return "".join(part.text for part in result.content if isinstance(part, Text))


async def still_works(server: Connection) -> None:
    assert words(await call(server, "echo", text="still here")) == "still here"


@pytest.mark.parametrize(
    ("tool", "error_class"),
    [
        ("no_content", "protocol"),
        ("content_object", "protocol"),
        ("result_null", "protocol"),
        ("not_a_tool", "unknown_tool"),
    ],
)
async def test_fails_the_one_call_at_once(
    server: Connection, tool: str, error_class: ErrorClass
) -> None:
    result = await call(server, tool)
    assert result.error_class == error_class, result
    assert result.is_error
    assert words(result)
    assert server.statistics()["errors"] == {error_class: 1}
    await still_works(server)


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (-32602, "invalid_arguments"),
        (-32601, "invalid_arguments"),
        (-32600, "protocol"),
        (-32603, "tool_error"),
        (-1, "tool_error"),
    ],
)
async def test_classifies_json_rpc_errors(
    server: Connection, code: int, error_class: ErrorClass
) -> None:
    result = await call(server, "error", code=code)
    assert (result.error_class, words(result)) == (error_class, "because")


@pytest.mark.parametrize("id_last", [False, True])
async def test_skips_a_line_that_is_too_long(server: Connection, id_last: bool) -> None:
    result = await call(server, "huge", size=3_000_000, id_last=id_last)
    assert result.error_class == "too_large"
    assert "3000" in words(result)
    await still_works(server)


async def test_cuts_a_result_that_is_too_long(server: Connection) -> None:
    result = await call(server, "huge", size=150_000)
    assert result.error_class == "too_large"
    kept, note = result.content
    assert isinstance(kept, Text)
    assert isinstance(note, Text)
    assert kept.text == "x" * 100_000
    assert "100000 are kept" in note.text


async def test_survives_a_flood_of_notifications(server: Connection) -> None:
    assert words(await call(server, "flood")) == "ok"
    assert server.statistics()["dropped_notifications"] > 0
    await still_works(server)


async def test_reports_progress_by_the_id_of_the_call(server: Connection) -> None:
    seen: list[Progress] = []
    result = await server.call(
        "bad_progress", {}, call_id="c7", timeout=PATIENT, on_progress=seen.append
    )
    assert not result.is_error
    assert seen == [Progress("c7", 1.0, 2.0)]


async def test_keeps_the_end_of_stderr(server: Connection) -> None:
    await call(server, "stderr")
    while "1999" not in server.stderr_tail():
        await anyio.sleep(0.01)
    assert "0001" not in server.stderr_tail()
    assert len(server.stderr_tail()) <= 16_400


# Cancellation.


async def test_tells_the_server_of_a_cancelled_call(server: Connection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, server, "silent")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    result = await call(server, "cancelled")
    assert len(result.structured["ids"]) == 1
    assert server.statistics()["in_flight"] == 0


async def test_tells_the_server_of_a_call_that_timed_out(server: Connection) -> None:
    await call(server, "silent", timeout=SHORT)
    result = await call(server, "cancelled")
    assert len(result.structured["ids"]) == 1


async def test_cancelling_at_random_confuses_nobody(server: Connection) -> None:
    chance = random.Random(1)
    finished: list[str] = []

    async def one(number: int, patience: float) -> None:
        with anyio.move_on_after(patience):
            result = await call(server, "echo", text=str(number))
            assert words(result) == str(number)
            finished.append(words(result))

    async with anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(one, number, chance.choice([0.0, 0.001, 0.01, PATIENT]))
            if not number % 10:
                await anyio.sleep(0.001)
    assert 0 < len(finished) < 300
    await still_works(server)
    statistics = server.statistics()
    assert (statistics["in_flight"], statistics["violations"]) == (0, 0)


# The server asks.


@pytest.mark.parametrize(
    "method", ["sampling/createMessage", "elicitation/create", "roots/list", "unheard/of"]
)
async def test_denies_what_is_not_configured(server: Connection, method: str) -> None:
    params: dict[str, Any] = {}
    if method.startswith("sampling"):
        params = {"messages": [], "maxTokens": 1}
    elif method.startswith("elicitation"):
        params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
    result = await call(server, "ask", method=method, params=params)
    assert "error" in result.structured, result
    await still_works(server)


async def test_answers_pings(server: Connection) -> None:
    result = await call(server, "ask", method="ping")
    assert result.structured["result"] == {}


async def test_a_question_that_is_taken_back_is_not_answered() -> None:
    """Cancellation in the other direction: the handler ends, and nothing is said."""
    ended: list[str] = []

    async def think(*_: Any) -> ElicitResult:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            raise
        raise AssertionError

    async with misbehaving(handlers=Handlers(elicitation=think)) as server:
        result = await call(server, "withdraw")
        assert result.structured == {"answered": ["q2"]}
        await still_works(server)
    assert ended == ["cancelled"]


async def test_hears_that_the_tools_changed(server: Connection) -> None:
    told = anyio.Event()
    server.on_tools_changed = told.set
    await call(server, "list_changed")
    with anyio.fail_after(PATIENT):
        await told.wait()
    assert server.tools_changed
    await server.refresh()
    assert not server.tools_changed


# The server goes away.


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("half_line", "exited with status 0"),
        ("crash", "exited with status 3"),
        ("abort", "was killed by SIGABRT"),
        ("close_stdout", "closed its stdout"),
    ],
)
async def test_fails_calls_in_flight_when_the_server_goes(
    server: Connection, tool: str, reason: str
) -> None:
    results: list[Result] = []

    async def one(name: str) -> None:
        results.append(await call(server, name))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, "silent")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(one, tool)
        with anyio.fail_after(PATIENT):
            assert reason in str(await server.wait_closed())
    assert [result.error_class for result in results] == ["unavailable", "unavailable"]
    assert not server.alive
    after = await call(server, "echo", text="?")
    assert after.error_class == "unavailable"
    assert reason in words(after)


async def test_takes_an_answer_that_lacks_its_line_end(server: Connection) -> None:
    assert words(await call(server, "whole_line_without_end")) == "last words"


async def test_notices_a_server_that_stops_reading(server: Connection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, server, "close_stdin")
        with anyio.fail_after(PATIENT):
            while server.alive:
                await call(server, "echo", SHORT, text="x" * 10_000)
        tasks.cancel_scope.cancel()
    assert "stdin" in str(await server.wait_closed())


async def test_bounds_what_waits_for_a_server_that_does_not_read(server: Connection) -> None:
    results: list[Result] = []

    async def one() -> None:
        results.append(await call(server, "echo", timeout=SHORT, text="x" * 100_000))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(call, server, "deaf", seconds=60))
        await anyio.wait_all_tasks_blocked()
        for _ in range(100):
            tasks.start_soon(one)
        while len(results) < 100:
            await anyio.sleep(0.05)
        assert server.statistics()["bytes_out"] < 3_000_000
        tasks.cancel_scope.cancel()
    assert {result.error_class for result in results} == {"timeout"}
