"""Trajectories say who answers the calls of a tool."""

from pathlib import Path

import pytest

import nexau
from nexau.synth.data.measure import Meter
from nexau.trajectory import Served

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "examples" / "worlds" / "retail-returns.yaml"
ECHO = '''
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", version="3")

@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text

server.run()
'''
AGENT = """
name: clerk
model: plan
tools: [{{mcp: shop, include: [get_order]}}, {{mcp: echo}}]
mcp_servers:
  shop: {{command: "{{python}}", args: [-m, nexau.cli.main, world, serve, "{world}"]}}
  echo: {{command: "{{python}}", args: [echo.py]}}
"""


async def test_a_world_is_told_from_a_live_server(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "agent.yaml").write_text(AGENT.format(world=WORLD))
    agent = nexau.load_agent(tmp_path / "agent.yaml")
    async with nexau.open_runtime() as runtime:
        made = await runtime.run(agent, nexau.Task("x", plan={"turns": [], "answer": "y"}))
    (record,) = made.agents
    assert record.served == {
        "get_order": Served("shop", "simulated", "retail-returns nexau-world/1"),
        "echo": Served("echo", "live", "echo 3"),
    }


async def test_live_replayed_and_simulated_calls_are_measured_apart(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    profile = ROOT / "examples" / "profiles" / "time.profile.yaml"
    again = f'  again: {{command: "{{python}}", args: [echo.py], latency: "{profile}"}}\n'
    text = AGENT.format(world=WORLD).replace(
        "{mcp: echo}]", "{mcp: echo}, {mcp: again, prefix: again_}]"
    )
    (tmp_path / "agent.yaml").write_text(text + again)
    agent = nexau.load_agent(tmp_path / "agent.yaml")
    calls = [
        {"id": "a", "name": "echo", "arguments": {"text": "x"}},
        {"id": "b", "name": "again_echo", "arguments": {"text": "x"}},
        {"id": "c", "name": "again_echo", "arguments": {"text": "x"}},
        *({"id": f"d{n}", "name": "get_order", "arguments": {"order_id": "O-20117"}}
          for n in range(3)),
    ]  # fmt: skip
    plan = {"turns": [calls], "answer": "done"}
    async with nexau.open_runtime() as runtime:
        made = await runtime.run(agent, nexau.Task("x", "Say x of O-20117.", plan=plan))
    meter = Meter()
    meter.add(made)
    measured = meter.result()
    assert measured.calls == {"live": 1, "replayed": 2, "simulated": 3}
    parts = measured.fidelity.parts
    assert parts["grounded"].value == 1
    assert parts["replayed"].value == pytest.approx(2 / 6)
    assert parts["live"].value == pytest.approx(1 / 6)


async def test_a_task_can_name_the_servers_that_its_agent_sees(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "agent.yaml").write_text(AGENT.format(world=WORLD))
    agent = nexau.load_agent(tmp_path / "agent.yaml")
    say = {"id": "a", "name": "echo", "arguments": {"text": "hi"}}
    get = {"id": "b", "name": "get_order", "arguments": {"order_id": "O-20117"}}
    plan = {"turns": [[say, get]], "answer": "done"}
    async with nexau.open_runtime() as runtime:
        both = await runtime.run(agent, nexau.Task("x", plan=plan))
        one = await runtime.run(agent, nexau.Task("x", plan=plan, servers=("echo",)))
        none = await runtime.run(agent, nexau.Task("x", plan=plan, servers=("ecko",)))
        again = await runtime.run(agent, nexau.Task("x", plan=plan))
    assert [result.is_error for result in both.steps[0].results] == [False, False]
    assert set(one.agents[0].served) == {"echo"}
    assert [result.error_class for result in one.steps[0].results] == [None, "unknown_tool"]
    assert none.status == "failed"
    assert none.error is not None
    assert none.error.message == "servers of the task: no server 'ecko'; did you mean 'echo'?"
    assert again.agents == both.agents
