"""`latency:` of a server in an agent file, in front of a real process."""

from pathlib import Path
from typing import Any

import pytest

import nexau
from nexau.definitions.agentfile import check_agent, load_agent
from nexau.definitions.values import Agent, DefinitionError, Latency, McpTools, StdioServer
from nexau.latency.profiles import (
    SCHEMA,
    Failures,
    Level,
    Profile,
    Taken,
    ToolProfile,
    write_profile,
)
from nexau.latency.replayed import replays_of
from nexau.testing import calls, turns
from nexau.trajectory import Trajectory

LEAN = str(Path(__file__).parent / "servers" / "lean.py")
TAKEN = Taken("", "", "", "", "", "", 0.0, "", 1, (), "", "")
ERRORS = (Failures("unavailable", 0.5, (1.0,), "it was down that day"),)
PROFILE = Profile(
    SCHEMA,
    TAKEN,
    (
        ToolProfile("increment", 9, (Level(1, 9, 1.0, (20.0, 30.0), ERRORS),)),
        ToolProfile("pid", 9, (Level(1, 9, 1.0, (20.0, 30.0)),)),
    ),
)
AGENT = """
name: counting
model: plan
tools: [{{mcp: counter}}]
mcp_servers:
  counter:
    command: "{{python}}"
    args: ["-S", "-E", {lean!r}]
    latency: {latency}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_profile(tmp_path / "slow.yaml", PROFILE)
    return tmp_path


def agent_file(folder: Path, latency: str) -> Path:
    file = folder / "agent.yaml"
    file.write_text(AGENT.format(lean=LEAN, latency=latency))
    return file


def agent(folder: Path, *called: str, **options: Any) -> Agent:
    server = StdioServer(
        command="{python}",
        args=("-S", "-E", LEAN),
        latency=Latency(str(folder / "slow.yaml"), **options),
    )
    play = turns(calls(*((name, {}) for name in called)), "ok")
    return Agent("tester", play, tools=(McpTools("counter"),), mcp_servers={"counter": server})


def errors(trajectory: Trajectory) -> list[str | None]:
    return [result.error_class for step in trajectory.steps for result in step.results]


@pytest.mark.anyio
async def test_calls_take_what_recorded_ones_took(folder: Path) -> None:
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(folder, "pid", "pid"), "go")
    seconds = [result.seconds for step in done.steps for result in step.results]
    assert errors(done) == [None, None]
    assert all(each >= 0.019 for each in seconds)


@pytest.mark.anyio
async def test_each_rollout_draws_its_own_and_a_seed_replays(folder: Path) -> None:
    wanted = agent(folder, *["increment"] * 8)
    seen: list[list[list[str | None]]] = []
    for seed in (1, 1, 2):
        async with nexau.open_runtime() as runtime:
            async with runtime.rollouts(wanted, ["a", "b", "c"], concurrency=3, seed=seed) as run:
                done = [trajectory async for trajectory in run]
        seen.append([errors(each) for each in sorted(done, key=lambda it: it.id)])
    one, again, other = seen
    assert one == again != other
    assert one[0] != one[1]
    assert {each for rollout in one for each in rollout} == {None, "unavailable"}


@pytest.mark.anyio
async def test_without_errors_all_succeed(folder: Path) -> None:
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent(folder, *["increment"] * 8, errors=False), "go")
    assert errors(done) == [None] * 8


@pytest.mark.parametrize(
    "latency", ["slow.yaml", "{profile: slow.yaml, tool: pid, errors: false, scale: 2}"]
)
def test_a_profile_of_an_agent_file(folder: Path, latency: str) -> None:
    file = agent_file(folder, latency)
    assert check_agent(file) == []
    found = load_agent(file).mcp_servers["counter"].latency
    assert isinstance(found, Latency)
    assert found.profile == str(folder / "slow.yaml")


@pytest.mark.parametrize(
    ("latency", "path", "said"),
    [
        ("slwo.yaml", "latency", "did you mean 'slow.yaml'?"),
        ("agent.yaml", "latency", "no latency profile"),
        ("{profile: slow.yaml, tool: pdi}", "latency.tool", "did you mean 'pid'?"),
        ("{profile: slow.yaml, scale: 0}", "latency.scale", "greater than 0"),
        ("{profil: slow.yaml}", "latency", "missing key 'profile'"),
        ("''", "latency", "not empty"),
        ("3", "latency", "expected text or a mapping"),
    ],
)
def test_what_check_finds(folder: Path, latency: str, path: str, said: str) -> None:
    problems = check_agent(agent_file(folder, latency))
    assert any(
        said in each.message and each.path == f"mcp_servers.counter.{path}" for each in problems
    ), problems


@pytest.mark.anyio
async def test_an_embedded_agent_with_a_wrong_profile(folder: Path) -> None:
    wrong = agent(folder, "pid", tool="pdi")
    with pytest.RaisesGroup(
        pytest.RaisesExc(DefinitionError, match="'pid'"),
        allow_unwrapped=True,
        flatten_subgroups=True,
    ):
        async with nexau.open_runtime() as runtime:
            await runtime.run(wrong, "go")


def test_sessions_over_http_share_what_is_in_flight(folder: Path) -> None:
    latency = str(folder / "slow.yaml")
    each = replays_of(StdioServer(command="x", latency=latency), None)
    assert each() is not each()
    shared = replays_of(nexau.HttpServer(url="http://x", latency=latency), None)
    assert shared() is shared()
    assert replays_of(StdioServer(command="x"), None)() is None
