"""Trajectories say who answers the calls of a tool."""

from pathlib import Path

import pytest

import nexau
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
