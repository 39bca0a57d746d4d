"""What is done about servers that are slow or away: retries, hedges, breakers; in virtual time."""

import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from nexau.definitions.values import Resilience
from nexau.resilience import Care
from nexau.transports.protocol import Call, Result, Text, ToolSpec, failure

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


TOOLS = (
    ToolSpec("read", "", {}, {"readOnlyHint": True}),
    ToolSpec("put", "", {}, {"idempotentHint": True}),
    ToolSpec("add", "", {}),
)


def care(breaks: bool = False, **config: Any) -> Care:
    made = Care("desk", Resilience(**config), breaks=breaks, chance=random.Random(1))
    made.know(TOOLS)
    return made


class Server:
    """Answers as it is told, each after so many seconds."""

    def __init__(self, *answers: tuple[float, str | None]) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.cancelled = 0

    async def send(self, call: Call) -> Result:
        self.calls.append(call)
        seconds, error = self.answers.pop(0) if self.answers else (0.0, None)
        try:
            await anyio.sleep(seconds)
        except BaseException:
            self.cancelled += 1
            raise
        if error is not None:
            return failure(call.id, error, "no")  # type: ignore[arg-type]
        return Result(call.id, (Text(f"answer {len(self.calls)}"),))


def here() -> bool:
    return False


async def ask(care: Care, server: Server, tool: str, gone: Callable[[], bool] = here) -> Result:
    return await care.call(server.send, Call("c", tool, {}, None, None), gone)


@pytest.mark.parametrize(("tool", "calls"), [("read", 3), ("put", 3), ("add", 1)])
async def test_only_marked_tools_are_called_again(tool: str, calls: int) -> None:
    server = Server((1, "timeout"), (0, "unavailable"))
    result = await ask(care(retries=2), server, tool)
    assert len(server.calls) == calls
    assert result.is_error is (tool == "add")


async def test_what_the_tool_itself_says_is_an_answer() -> None:
    server = Server((0, "tool_error"))
    assert (await ask(care(), server, "read")).error_class == "tool_error"
    assert len(server.calls) == 1


async def test_a_session_that_has_ended_is_not_asked_again() -> None:
    server = Server((0, "unavailable"))
    assert (await ask(care(), server, "read", lambda: True)).error_class == "unavailable"
    assert len(server.calls) == 1


async def test_no_attempt_begins_past_the_deadline() -> None:
    server = Server(*[(1, "timeout")] * 9)
    deadline = anyio.current_time() + 2.5
    result = await care(retries=9).call(server.send, Call("c", "read", {}, None, deadline), here)
    assert result.error_class == "timeout"
    assert len(server.calls) <= 3


async def test_retries_have_a_budget() -> None:
    failing, made = Server(*[(0, "timeout")] * 10_000), care(retries=5)
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(ask, made, failing, "read")
    seconds = anyio.current_time() - began
    # A burst of 100, and 10 a second; without, it were 1,500.
    assert 100 <= made.statistics()["retried"] <= 100 + 10 * seconds
    assert len(failing.calls) == 300 + made.statistics()["retried"]


async def test_the_first_answer_counts_and_the_other_is_cancelled() -> None:
    server, made = Server((9, None), (0.1, None)), care(hedge=0.5)
    began = anyio.current_time()
    result = await ask(made, server, "read")
    assert anyio.current_time() - began == pytest.approx(0.6)
    assert (result.id, result.content) == ("c", (Text("answer 2"),))
    assert server.cancelled == 1
    assert made.statistics() | {"hedged": 1, "hedges_won": 1} == made.statistics()


@pytest.mark.parametrize("tool", ["put", "add"])
async def test_only_read_only_tools_are_sent_twice(tool: str) -> None:
    server = Server((9, None))
    await ask(care(hedge=0.5), server, tool)
    assert len(server.calls) == 1


async def test_a_quick_answer_is_not_hedged_and_an_error_waits_for_the_other() -> None:
    made = care(hedge=0.5, retries=0)
    quick = Server((0.1, None))
    await ask(made, quick, "read")
    assert len(quick.calls) == 1
    late = Server((1, "timeout"), (1, None))
    assert not (await ask(made, late, "read")).is_error


async def test_a_server_that_keeps_failing_is_left_alone_and_probed() -> None:
    made = care(breaks=True, breaker=3, retries=0)
    server = Server(*[(0, "timeout")] * 3)
    for _ in range(3):
        await ask(made, server, "add")
    refused = await ask(made, server, "add")
    assert refused.error_class == "unavailable"
    assert "left alone" in refused.content[0].text  # type: ignore[union-attr]
    assert len(server.calls) == 3
    assert made.statistics()["health"] == "unhealthy"
    await anyio.sleep(0.2)
    assert not (await ask(made, server, "add")).is_error
    assert made.statistics()["health"] == "healthy"


async def test_where_there_is_nothing_to_do_nothing_is_done() -> None:
    made = Care("desk", Resilience(), breaks=False, chance=random.Random(1))
    made.know(TOOLS[2:])
    assert made.idle
    assert not care().idle
