"""MCP servers under agents: real processes, real failures."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

import nexau
from nexau.definitions.values import (
    Agent,
    Backoff as RestartBackoff,
    HttpServer,
    McpTools,
    Pool,
    StdioServer,
    Supervision,
)
from nexau.models.base import ModelRequest, ToolMessage, Turn
from nexau.servers import ToolsUnavailable
from nexau.testing import FunctionPolicy, calls, turns
from nexau.trajectory import Trajectory
from nexau.transports.ports import free_port
from nexau.transports.process import open_process
from nexau.transports.protocol import Limits, Text
from tests.transports.ports import listening

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Other tests' servers may be there before."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    assert not left


SERVERS = Path(__file__).parent / "servers"
SCRIPT = str(SERVERS / "counter.py")
LEAN = str(SERVERS / "lean.py")
QUICK = Supervision(backoff=RestartBackoff(min=0.01, max=0.05))


def stdio(**options: Any) -> StdioServer:
    return StdioServer(command="{python}", args=("-S", "-E", LEAN), **options)


def sdk(**options: Any) -> StdioServer:
    return StdioServer(command="{python}", args=(SCRIPT,), **options)


def http(**options: Any) -> HttpServer:
    return HttpServer(
        url="http://127.0.0.1:{port}/mcp",
        command="{python}",
        args=(SCRIPT, "--port", "{port}"),
        **options,
    )


def agent(model: Any, server: StdioServer | HttpServer, **rest: Any) -> Agent:
    tools = rest.pop("tools", (McpTools("counter"),))
    return Agent(
        "tester", model, tools=tools, mcp_servers={"counter": server}, supervision=QUICK, **rest
    )


def texts(trajectory: Trajectory) -> list[str]:
    return [
        part.text
        for step in trajectory.steps
        for result in step.results
        for part in result.content
        if isinstance(part, Text)
    ]


COUNT = turns(calls(("increment", {})), calls(("increment", {"by": 2})), "ok")


@pytest.mark.parametrize("server", [stdio(), sdk(), http()], ids=["stdio", "sdk", "http"])
async def test_calls_reach_a_shared_session(server: StdioServer | HttpServer) -> None:
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(COUNT, server), "go")
        assert "counter" in runtime.tree()
    assert (done.status, texts(done)) == ("completed", ["1", "3"])


@pytest.mark.parametrize(
    "server",
    [
        stdio(sessions="rollout", reset="reset", pool=Pool(max=2)),
        stdio(sessions="rollout", pool=Pool(max=2)),
        http(sessions="rollout"),
    ],
    ids=["stdio with reset", "stdio anew", "http"],
)
async def test_every_rollout_sees_its_own_state(server: StdioServer | HttpServer) -> None:
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(COUNT, server), list("abcdef"), concurrency=4) as run:
            done = [trajectory async for trajectory in run]
    assert [texts(t) for t in done] == [["1", "3"]] * 6


async def test_a_reset_process_serves_many_rollouts() -> None:
    who = turns(calls(("pid", {})), "ok")
    server = stdio(sessions="rollout", reset="reset", pool=Pool(max=1))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(who, server), list("abc"), concurrency=3) as run:
            pids = {texts(t)[0] async for t in run}
    assert len(pids) == 1


async def test_spare_sessions_are_open_before_the_first_rollout() -> None:
    server = stdio(sessions="rollout", reset="reset", pool=Pool(min=3, max=4))
    async with nexau.open_runtime() as runtime:
        before = set(psutil.Process().children())
        await runtime.prepare(agent(COUNT, server))
        assert runtime.statistics()["servers"]["counter"]["idle"] == 3
        new = set(psutil.Process().children()) - before
        assert sum("python" in child.name() for child in new) == 3


async def test_a_session_is_opened_anew_after_its_uses() -> None:
    who = turns(calls(("pid", {})), "ok")
    server = stdio(sessions="rollout", reset="reset", pool=Pool(max=1, uses=1))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(who, server), list("ab"), concurrency=1) as run:
            pids = {texts(t)[0] async for t in run}
    assert len(pids) == 2


@pytest.mark.parametrize("server", [stdio(), http()], ids=["stdio", "http"])
async def test_a_server_that_dies_is_restarted_and_the_run_goes_on(
    server: StdioServer | HttpServer,
) -> None:
    def play(request: ModelRequest) -> Turn:
        if request.turn == 0:
            return calls(("die", {}))
        seen = request.messages[-1]
        assert isinstance(seen, ToolMessage)
        return calls(("increment", {})) if seen.is_error else Turn(content="went on")

    limits = Limits(steps=20)
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(FunctionPolicy(play), server, limits=limits), "go")
    assert (done.status, done.answer) == ("completed", "went on")
    assert done.steps[0].results[0].error_class == "unavailable"
    assert texts(done)[-1] == "1", "the state of a dead process is gone"


async def test_a_session_of_ones_own_does_not_come_back_with_other_state() -> None:
    policy = turns(calls(("die", {})), calls(("increment", {})), "gave up")
    server = stdio(sessions="rollout", pool=Pool(max=1))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(policy, server), list("ab"), concurrency=1) as run:
            done = [t async for t in run]
    for trajectory in done:
        classes = [step.results[0].error_class for step in trajectory.steps[:2]]
        assert classes == ["unavailable", "unavailable"]


async def test_a_refusal_and_a_hang_are_observations() -> None:
    policy = turns(calls(("refuse", {}), ("hang", {})), "ok")
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(policy, stdio(timeout=2.0)), "go")
    assert [r.error_class for r in done.steps[0].results] == ["tool_error", "timeout"]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (StdioServer(command="no-such-command-anywhere"), "no-such-command-anywhere"),
        (StdioServer(command="{python}", args=("-c", "raise SystemExit('no licence')")), "licence"),
        (HttpServer(url="http://127.0.0.1:9/mcp"), "127.0.0.1:9"),
        (StdioServer(command="sleep", args=("60",), start_timeout=0.2), "0.2 s"),
    ],
    ids=["no command", "exits", "refused", "silent"],
)
async def test_a_server_that_cannot_be_had_fails_loudly(
    server: StdioServer | HttpServer, said: str
) -> None:
    async with nexau.open_runtime() as runtime:
        with pytest.raises(ToolsUnavailable, match=said):
            await runtime.run(agent(COUNT, server), "go")


async def test_a_tool_that_the_server_lacks_is_named_with_the_nearest() -> None:
    wrong = agent(COUNT, stdio(), tools=(McpTools("counter", include=("incremnt",)),))
    async with nexau.open_runtime() as runtime:
        with pytest.raises(ToolsUnavailable, match="did you mean 'increment'"):
            await runtime.run(wrong, "go")


async def test_tools_are_chosen_and_renamed() -> None:
    policy = turns(calls(("a_increment", {})), calls(("c_increment", {})), "ok")
    chosen = Agent(
        "tester",
        policy,
        tools=(
            McpTools("a", include=("inc*", "reset"), exclude=("reset",), prefix="a_"),
            McpTools("b", include=("pid",)),
            McpTools("c", include=("increment", "pid"), prefix=""),
        ),
        mcp_servers={"a": stdio(), "b": stdio(), "c": stdio()},
    )
    async with nexau.open_runtime() as runtime:
        await runtime.run(chosen, "go")
    names = [spec.name for spec in policy.requests[0].tools]
    assert names == ["a_increment", "b_pid", "increment", "c_pid"], "only clashes get a prefix"


async def test_a_child_uses_its_parents_server() -> None:
    child = Agent("child", turns(calls(("increment", {})), "1"), tools=(McpTools("counter"),))
    parent = turns(calls(("child", {"task": "x"})), calls(("increment", {})), "ok")
    server = stdio(sessions="rollout", pool=Pool(max=1))
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(parent, server, agents=(child,)), "go")
    assert texts(done) == ["1", "1", "2"], "both levels see the rollout's one session"


async def test_spares_are_opened_beside_those_in_use() -> None:
    server = stdio(sessions="rollout", pool=Pool(max=3, spares=1))
    async with nexau.open_runtime() as runtime:
        prepared = await runtime.prepare(agent(COUNT, server))
        (pool,) = prepared.servers
        assert pool.statistics()["idle"] == 1
        first, second = await pool.acquire(), await pool.acquire()
        while pool.statistics()["opening"]:
            await anyio.sleep(0.01)
        assert pool.statistics()["idle"] == 1
        third = await pool.acquire()
        statistics = pool.statistics()
        assert (statistics["idle"], statistics["opening"], statistics["held"]) == (0, 0, 3)
        for session in (first, second, third):
            await pool.release(session)
        while pool.statistics()["opening"]:
            await anyio.sleep(0.01)
        assert pool.statistics()["idle"] == 1, "those that were used are gone: there is no reset"


@pytest.mark.parametrize("server", [stdio(in_flight=2), http(in_flight=2)], ids=["stdio", "http"])
async def test_a_server_is_given_as_many_calls_as_it_may_have(
    server: StdioServer | HttpServer,
) -> None:
    most = 0

    def play(request: ModelRequest) -> Turn:
        nonlocal most
        if request.turn:
            return Turn(content="ok")
        return calls(*[("increment", {})] * 20)

    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(FunctionPolicy(play), server), list("abc")) as run:
            done = [trajectory async for trajectory in run]
            (found,) = runtime.statistics()["servers"]["counter"]["in_flight"]
    assert sorted(int(text) for t in done for text in texts(t)) == list(range(1, 61))
    assert found["limit"] == 2
    assert (found["in_flight"], found["waiting"]) == (0, 0)
    assert any(result.queue for t in done for result in t.steps[0].results)


async def test_a_server_that_shows_no_sign_of_life_is_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nexau.sessions.PING_SECONDS", 0.1)

    def play(request: ModelRequest) -> Turn:
        seen = request.messages[-1]
        if request.turn == 0:
            return calls(("freeze", {}))
        if isinstance(seen, ToolMessage) and not seen.is_error:
            return Turn(content="thawed")
        return calls(("increment", {}))

    server = stdio(health=0.2, timeout=0.1)
    async with nexau.open_runtime() as runtime:
        with anyio.fail_after(30):
            done = await runtime.run(agent(FunctionPolicy(play), server), "go")
    assert done.answer == "thawed"
    assert done.steps[0].results[0].error_class == "timeout"
    assert texts(done)[-1] == "1", "it is another process"


async def test_a_server_that_answers_no_pings_is_left_in_peace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nexau.sessions.PING_SECONDS", 0.05)

    async def play(request: ModelRequest) -> Turn:
        if request.turn == 1:
            await anyio.sleep(0.4)
        return Turn(content="ok") if request.turn == 2 else calls(("pid", {}))

    rude = StdioServer(command="{python}", args=("-S", "-E", LEAN, "--no-ping"), health=0.05)
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(FunctionPolicy(play), rude), "go")
    before, after = texts(done)
    assert before == after


async def test_a_server_that_works_on_a_call_is_left_in_peace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nexau.sessions.PING_SECONDS", 0.05)
    policy = turns(*[calls((name, {})) for name in ("pid", "nap", "pid")], "ok")
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(policy, stdio(health=0.1)), "go")
    before, nap, after = texts(done)
    assert (before, nap) == (after, "ok")


@pytest.mark.slow
@pytest.mark.parametrize("era", ["legacy", "newest"])
async def test_a_server_that_was_restarted_elsewhere_is_greeted_again(era: str) -> None:
    """One that is not ours to run, behind a URL. Up to 2025-11-25 it has forgotten the session."""
    port = free_port()
    script = SERVERS.parent.parent / "transports" / "servers" / "sdk_server.py"
    args = (str(script), "http", str(port), *((era,) if era == "legacy" else ()))
    restart, restarted = anyio.Event(), anyio.Event()

    async def serve() -> None:
        async with open_process(sys.executable, args, pipes=False, grace=0.2):
            await restart.wait()
        async with open_process(sys.executable, args, pipes=False, grace=0.2):
            await listening(port)
            restarted.set()
            await anyio.sleep_forever()

    async def play(request: ModelRequest) -> Turn:
        seen = request.messages[-1]
        if request.turn == 1:
            restart.set()
            await restarted.wait()
        elif isinstance(seen, ToolMessage) and not seen.is_error:
            return Turn(content="went on")
        return calls(("echo", {"text": "hi"}))

    url = HttpServer(url=f"http://127.0.0.1:{port}/mcp")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await listening(port)
        async with nexau.open_runtime() as runtime:
            with anyio.fail_after(60):
                done = await runtime.run(
                    agent(FunctionPolicy(play), url, limits=Limits(steps=30)), "go"
                )
        tasks.cancel_scope.cancel()
    errors = [step.results[0].error_class for step in done.steps[:-1]]
    assert done.answer == "went on"
    assert errors == ([None, "unavailable", None] if era == "legacy" else [None, None])
