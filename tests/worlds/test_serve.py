"""Worlds over MCP, with the official SDK's client and with ours: isolation above all."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import msgspec
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from starlette.types import Message, Receive, Scope, Send

from nexau.latency.replayed import Replay
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.sessions import IDLE, Seats, StatePerSession
from nexau.synth.worlds.state import State, Template
from nexau.transports.connection import HttpTarget, open_connection
from tests.worlds.serving import COMMAND, RETAIL, served
from tests.worlds.worlds_for_tests import LENDING, world_of

pytestmark = pytest.mark.anyio

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
MOVE = {"customer_id": "C-1001", "street": "1 New Road", "city": "Ghent", "postcode": "9000"}
WHO = {"customer_id": "C-1001"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Sessions share nothing, so all tests can share the server."""
    with served(RETAIL, "--no-latency", "--expose-state") as made:
        yield made


@asynccontextmanager
async def official(url: str) -> AsyncIterator[Ask]:
    async with Client(url) as client:

        async def ask(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return dict((await client.call_tool(name, arguments)).structured_content or {})

        yield ask


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Ask]:
    async with open_connection(HttpTarget(url), name="world") as connection:
        assert connection.protocol_version == LATEST_HANDSHAKE_VERSION

        async def ask(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return dict((await connection.call(name, arguments, call_id="1")).structured)

        yield ask


@pytest.mark.parametrize("client", [official, ours])
async def test_no_session_sees_what_another_writes(
    url: str, client: Callable[[str], AbstractAsyncContextManager[Ask]]
) -> None:
    async with client(url) as one, client(url) as other:
        fresh = await one("get_customer", WHO)
        assert (await one("update_address", MOVE))["customer_id"] == "C-1001"
        assert await other("get_customer", WHO) == fresh
        assert (await one("get_customer", WHO))["city"] == "Ghent" != fresh["city"]
        await one("world_reset", {})
        assert await one("get_customer", WHO) == fresh


async def test_many_sessions_at_once_stay_apart(url: str) -> None:
    async def visit(number: int) -> None:
        async with ours(url) as ask:
            await ask("update_address", {**MOVE, "city": f"City {number}"})
            await anyio.lowlevel.checkpoint()
            assert (await ask("get_customer", WHO))["city"] == f"City {number}"

    async with anyio.create_task_group() as tasks:
        for number in range(24):
            tasks.start_soon(visit, number)


async def test_a_revision_without_sessions_is_refused_where_each_has_its_state(url: str) -> None:
    async with Client(url) as client:
        assert client.protocol_version == LATEST_HANDSHAKE_VERSION
    meta = {
        "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {"name": "get_customer", "arguments": WHO, "_meta": meta}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(
            url,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
            headers={
                "Accept": "application/json, text/event-stream",
                "Mcp-Protocol-Version": LATEST_MODERN_VERSION,
                "Mcp-Method": "tools/call",
                "Mcp-Name": "get_customer",
            },
        )
        assert answer.status_code == 400
        assert LATEST_HANDSHAKE_VERSION in answer.json()["error"]["data"]["supported"]
        for headers, status in [({"Host": "evil.example"}, 421), ({"Origin": "http://x.y"}, 403)]:
            assert (await http.post(url, json={}, headers=headers)).status_code == status
        assert (await http.get(url)).status_code == 405


async def test_what_is_wrong_with_a_call_is_in_its_answer(url: str) -> None:
    async with Client(url) as client:
        refused = await client.call_tool("get_order", {"order_id": "O-99999"})
        assert refused.is_error
        message = "there is no order O-99999"
        assert refused.structured_content == {"code": "no_such_order", "message": message}
        malformed = await client.call_tool("get_order", {"order_id": 5})
        assert (malformed.structured_content or {})["code"] == "invalid_arguments"
        unknown = await client.call_tool("drop_tables", {})
        assert (unknown.structured_content or {})["code"] == "unknown_tool"


async def test_everything_is_listed_as_the_world_says_and_nothing_else(url: str) -> None:
    world = load_world(RETAIL)
    async with Client(url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
    assert list(tools) == list(world.tools)
    for name, tool in world.tools.items():
        hints = tools[name].annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.idempotent_hint, hints.destructive_hint) == (
            tool.read_only,
            tool.idempotent,
            tool.destructive,
        )
        assert tools[name].input_schema == tool.input_schema
        assert tools[name].output_schema == tool.output_schema
    assert [str(each.uri) for each in resources] == ["shop://policy"]
    assert [each.uri_template for each in templates] == ["shop://orders/{order_id}"]
    assert [each.name for each in prompts] == ["handle_return"]


async def test_resources_prompts_and_the_state_can_be_read(url: str) -> None:
    async with Client(url) as client:

        async def read(uri: str) -> str:
            return str(getattr((await client.read_resource(uri)).contents[0], "text", ""))

        assert "30 days" in await read("shop://policy")
        assert msgspec.json.decode(await read("shop://orders/O-20003"))["id"] == "O-20003"
        for wrong in ("shop://orders/O-1", "shop://nothing", "world://nothing"):
            with pytest.raises(MCPError):
                await read(wrong)
        prompt = await client.get_prompt("handle_return", {"order_id": "O-20003"})
        assert "Farah Bauer" in str(prompt.messages[0].content)
        for name, arguments in [("handle_return", {}), ("nothing", {})]:
            with pytest.raises(MCPError):
                await client.get_prompt(name, arguments)
        await client.call_tool("update_address", MOVE)
        digests = msgspec.json.decode(await read("world://hash"))
        assert digests["hash"] != digests["before"]
        changes = msgspec.json.decode(await read("world://changes"))
        assert changes["customer"]["changed"]["C-1001"]["city"][1] == "Ghent"
        state = msgspec.json.decode(await read("world://state"))
        assert state["customer"][0]["city"] == "Ghent"


async def test_over_stdio_reset_makes_the_state_as_new_and_the_state_is_hidden() -> None:
    options = [*COMMAND[1:], str(RETAIL), "--no-latency"]
    parameters = StdioServerParameters(command=COMMAND[0], args=options)
    async with Client(stdio_client(parameters)) as client:

        async def city() -> Any:
            found = await client.call_tool("get_customer", WHO)
            return (found.structured_content or {})["city"]

        fresh = await city()
        await client.call_tool("update_address", MOVE)
        assert await city() == "Ghent"
        await client.call_tool("world_reset")
        assert await city() == fresh
        with pytest.raises(MCPError):
            await client.read_resource("world://state")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_command_serves_stdio_on_both_loops(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "lending.yaml"
    file.write_text(LENDING, "utf-8")
    meta = {"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}}  # fmt: skip
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": meta},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
         "params": {"name": "get_member", "arguments": {"member_id": "M-100"}}},
    ]  # fmt: skip
    with subprocess.Popen(
        [*COMMAND, str(file), "--backend", backend],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        process.stdin.flush()
        answers = [msgspec.json.decode(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        assert process.wait(150) == 0
    assert answers[0]["result"]["serverInfo"]["name"] == "lending"
    assert answers[1]["result"]["structuredContent"]["id"] == "M-100"


@pytest.mark.slow
def test_what_cannot_be_served_is_said_with_exit_code_2(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(LENDING.replace("row: member", "row: membr"), "utf-8")
    for options, message in [
        ([str(bad)], "did you mean 'member'"),
        ([str(tmp_path / "none.yaml")], "no such file"),
        ([str(RETAIL), "--http", "--host", "0.0.0.0"], "NEXAU_WORLD_TOKEN"),
    ]:
        done = subprocess.run([*COMMAND, *options], capture_output=True, check=False, text=True)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_profile_is_played_the_same_each_time() -> None:
    text = LENDING.replace("tools:\n", "profile:\n  latency: {lognormal: [20, 0.5]}\n"
                           "  errors: {rate: 0.25}\n  tools: {lend: {latency: {fixed: 7}}}\n"
                           "tools:\n", 1)  # fmt: skip
    profile = world_of(text).profile
    assert profile is not None
    replay = Replay(profile)
    drawn = [replay.draw(1, "lending", str(number), "find_books") for number in range(2000)]
    assert drawn == [Replay(profile).draw(1, "lending", str(n), "find_books") for n in range(2000)]
    failed = [each for each in drawn if each.error_class == "unavailable"]
    assert 0.2 < len(failed) / 2000 < 0.3
    seconds = sorted(each.seconds for each in drawn)
    assert 0.018 < seconds[1000] < 0.022
    assert {replay.draw(1, "lending", str(n), "lend").seconds for n in range(50)} == {0.007}


class Sdk:
    """What the SDK's application answers, as far as sessions are concerned."""

    def __init__(self) -> None:
        self.status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": []})


async def _request(app: Any, method: str, session: str) -> None:
    async def send(message: Message) -> None:
        pass

    async def receive() -> Message:
        return {"type": "http.request"}

    headers = [(b"mcp-session-id", session.encode())]
    await app({"type": "http", "method": method, "headers": headers}, receive, send)


async def test_a_state_ends_with_its_session() -> None:
    seats = Seats(Template(world_of()))
    now = 0.0
    states = StatePerSession(seats, lambda: now)
    sdk = Sdk()
    app = states.around(sdk)
    made: list[State] = []
    for session in ("deleted", "silent", "busy"):
        await _request(app, "POST", session)
        made.append(states.of(session).state)
    for unknown in ("unheard of", None):
        with pytest.raises(MCPError):
            states.of(unknown)
    await _request(app, "DELETE", "deleted")
    assert len(states) == 2
    now = IDLE + 30
    await _request(app, "POST", "busy")
    assert len(states) == 2, "the SDK may still know a session that was silent for so long"
    now = IDLE + 90
    await _request(app, "POST", "busy")
    assert len(states) == 1
    sdk.status = 404
    await _request(app, "POST", "busy")
    assert len(states) == 0
    for state in made:
        with pytest.raises(Exception, match="closed database"):
            state.digest()
    seats.close()
