"""What listeners to events hear while a model talks and while a tool works."""

import json
from typing import Any

import anyio
import pytest

import nexau
from nexau.definitions.values import Agent, McpTools, OpenAIModel, StdioServer
from nexau.fold import fold
from nexau.models.base import ModelRequest, Turn
from nexau.testing import FunctionPolicy, ListSink, calls, turns
from nexau.trajectory import Delta, Finished, Progressed, Returned
from tests.runtime.test_servers import LEAN
from tests.transports.http_serving import Exchange, serving

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(**delta: Any) -> bytes:
    choice = {"delta": delta} if delta else {"delta": {}, "finish_reason": "stop"}
    data = b"data: %b\n\n" % json.dumps({"choices": [choice], "model": "m"}).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


END = event() + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def talker(url: str, **options: Any) -> Agent:
    return Agent("talker", OpenAIModel("m", url, None, stream=True, **options))


async def test_deltas_come_while_the_model_talks() -> None:
    heard_first = anyio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.stream.send(HEAD + event(reasoning_content="Hm.") + event(content="Good "))
        await heard_first.wait()  # the answer cannot end before its beginning was heard
        await exchange.stream.send(event(content="da") + event(content="y.") + END)

    heard: list[Delta] = []
    async with serving(handler) as server, nexau.open_runtime() as runtime:
        with runtime.subscribe() as events:
            async with runtime.rollouts(talker(server.url), ["Say something."]) as run:
                async for each in events:
                    if isinstance(each, Delta):
                        heard.append(each)
                        heard_first.set()
                    elif isinstance(each, Finished):
                        break
                (done,) = [trajectory async for trajectory in run]
    assert done.answer == "Good day."
    assert "".join(delta.text for delta in heard) == "Good day."
    assert "".join(delta.reasoning for delta in heard) == "Hm."
    assert {(delta.agent, delta.turn, delta.attempt) for delta in heard} == {("root", 0, 0)}
    assert heard[0].text != "Good day."


async def test_a_turn_that_is_said_again_says_so() -> None:
    async def handler(exchange: Exchange) -> None:
        if len(server.requests) == 1:
            await exchange.stream.send(HEAD + event(content="Goo"))
            raise anyio.EndOfStream
        await exchange.stream.send(HEAD + event(content="Good") + END)

    sink = ListSink("events")
    async with serving(handler) as server, nexau.open_runtime() as runtime:
        async with runtime.rollouts(talker(server.url), ["Hi."], sinks=[sink]) as run:
            await run.wait()
    said = [(each.text, each.attempt) for each in sink.items if isinstance(each, Delta)]
    assert said == [("Goo", 0), ("Good", 1)]


async def test_progress_of_a_tool_comes_before_its_result_and_is_no_part_of_a_step() -> None:
    policy = turns(calls(("work", {}), ("work", {})), "done")
    server = StdioServer(command="{python}", args=("-S", "-E", LEAN))
    agent = Agent("worker", policy, tools=(McpTools("lean"),), mcp_servers={"lean": server})
    sink = ListSink("events")
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent, ["go"], sinks=[sink]) as run:
            (done,) = [trajectory async for trajectory in run]
    events: list[Any] = sink.items
    assert [each.seq for each in events] == list(range(len(events)))
    for call_id in ("c0", "c1"):
        kinds = [
            each.progress if isinstance(each, Progressed) else None
            for each in events
            if (isinstance(each, Progressed) and each.call_id == call_id)
            or (isinstance(each, Returned) and each.result.call_id == call_id)
        ]
        assert kinds == [*map(float, range(1, 11)), None]
    assert {(each.total, each.message) for each in events if isinstance(each, Progressed)} == {
        (10.0, "working")
    }
    assert fold(events) == list(done.steps)


async def test_nothing_is_asked_for_where_nobody_listens() -> None:
    asked: list[object] = []

    def play(request: ModelRequest) -> Turn:
        asked.append(request.on_delta)
        return Turn(content="done") if request.turn else calls(("work", {}))

    server = StdioServer(command="{python}", args=("-S", "-E", LEAN))
    agent = Agent(
        "worker", FunctionPolicy(play), tools=(McpTools("lean"),), mcp_servers={"lean": server}
    )
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent, "go")
    assert asked == [None, None]
    assert done.steps[0].results[0].content[0].text == "token False"  # type: ignore[union-attr]


async def test_a_slow_listener_loses_nothing_when_the_run_is_cancelled() -> None:
    """What was not delivered when a rollout is cut off is delivered when it is sealed."""
    policy = turns(calls(("work", {})), calls(("hang", {})), "never")
    server = StdioServer(command="{python}", args=("-S", "-E", LEAN))
    agent = Agent("worker", policy, tools=(McpTools("lean"),), mcp_servers={"lean": server})
    seen: list[Any] = []
    async with nexau.open_runtime() as runtime:
        with runtime.subscribe() as events:
            async with runtime.rollouts(agent, ["go"]) as run:
                async for each in events:
                    seen.append(each)
                    if isinstance(each, Returned):
                        run.cancel()
                    elif isinstance(each, Finished):
                        break
    assert [each.seq for each in seen] == list(range(len(seen)))
    assert seen[-1].status == "cancelled"
