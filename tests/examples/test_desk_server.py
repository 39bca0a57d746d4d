"""The desk over MCP, with the official SDK's client and with ours: isolation above all."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from catalogue import TOOLS
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from rules import Desk
from sessions import IDLE, StatePerSession
from starlette.types import Message, Receive, Scope, Send
from store import Template

from nexau.transports.connection import HttpTarget, open_connection

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).parents[2] / "examples" / "desk" / "server.py"

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
MOVE = {"customer_id": "C-1001", "street": "1 New Road", "city": "Ghent", "postcode": "9000"}


@asynccontextmanager
async def official(url: str) -> AsyncIterator[Ask]:
    async with Client(url) as client:

        async def ask(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return dict((await client.call_tool(name, arguments)).structured_content or {})

        yield ask


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Ask]:
    async with open_connection(HttpTarget(url), name="desk") as connection:
        assert connection.protocol_version == LATEST_HANDSHAKE_VERSION

        async def ask(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return dict((await connection.call(name, arguments, call_id="1")).structured)

        yield ask


@pytest.mark.parametrize("client", [official, ours])
async def test_no_session_sees_what_another_writes(
    desk_url: str, client: Callable[[str], AbstractAsyncContextManager[Ask]]
) -> None:
    async with client(desk_url) as one, client(desk_url) as other:
        fresh = (await one("state_digest", {}))["digest"]
        assert (await other("state_digest", {}))["digest"] == fresh
        assert (await one("update_address", MOVE))["customer_id"] == "C-1001"
        changed = (await one("state_digest", {}))["digest"]
        assert changed != fresh
        assert (await other("state_digest", {}))["digest"] == fresh
        assert (await other("get_customer", {"customer_id": "C-1001"}))["city"] != "Ghent"
        assert (await one("get_customer", {"customer_id": "C-1001"}))["city"] == "Ghent"
        await one("reset", {})
        assert (await one("state_digest", {}))["digest"] == fresh


async def test_many_sessions_at_once_stay_apart(desk_url: str) -> None:
    async def visit(number: int) -> None:
        async with ours(desk_url) as ask:
            await ask("update_address", {**MOVE, "city": f"City {number}"})
            await anyio.lowlevel.checkpoint()
            found = await ask("get_customer", {"customer_id": "C-1001"})
            assert found["city"] == f"City {number}"

    async with anyio.create_task_group() as tasks:
        for number in range(32):
            tasks.start_soon(visit, number)


async def test_a_revision_without_sessions_is_refused(desk_url: str) -> None:
    """There is no session that a state could belong to, so nothing may be shared by mistake."""
    async with Client(desk_url) as client:
        assert client.protocol_version == LATEST_HANDSHAKE_VERSION
    meta = {
        "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {"name": "reset", "arguments": {}, "_meta": meta}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(
            desk_url,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
            headers={
                "Accept": "application/json, text/event-stream",
                "Mcp-Protocol-Version": LATEST_MODERN_VERSION,
                "Mcp-Method": "tools/call",
                "Mcp-Name": "reset",
            },
        )
    assert answer.status_code == 400
    assert LATEST_HANDSHAKE_VERSION in answer.json()["error"]["data"]["supported"]


async def test_what_is_wrong_with_a_call_is_in_its_answer(desk_url: str) -> None:
    async with Client(desk_url) as client:
        refused = await client.call_tool("get_order", {"order_id": "O-99999"})
        assert refused.is_error
        assert refused.structured_content == {
            "code": "no_such_order",
            "message": "there is no order O-99999",
        }
        malformed = await client.call_tool("get_order", {"order_id": 5})
        assert malformed.is_error
        assert (malformed.structured_content or {})["code"] == "invalid_arguments"
        unknown = await client.call_tool("drop_tables", {})
        assert (unknown.structured_content or {})["code"] == "unknown_tool"


async def test_the_tools_are_listed_with_their_hints(desk_url: str) -> None:
    async with Client(desk_url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {*TOOLS, "reset"}
    for name, tool in TOOLS.items():
        hints = tools[name].annotations
        assert hints is not None
        assert hints.read_only_hint is not tool.writes
        assert tools[name].input_schema == tool.schema()


async def test_over_stdio_reset_makes_the_state_as_new() -> None:
    parameters = StdioServerParameters(command=sys.executable, args=[str(SERVER), "--stdio"])
    async with Client(stdio_client(parameters)) as client:

        async def state() -> Any:
            return ((await client.call_tool("state_digest")).structured_content or {})["digest"]

        fresh = await state()
        await client.call_tool("update_address", MOVE)
        assert await state() != fresh
        await client.call_tool("reset")
        assert await state() == fresh


class Sdk:
    """What the SDK's application answers, as far as sessions are concerned."""

    def __init__(self) -> None:
        self.status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": []})


async def _request(app: Any, method: str, session: str) -> list[Message]:
    sent: list[Message] = []
    headers = [(b"mcp-session-id", session.encode())]

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await app({"type": "http", "method": method, "headers": headers}, receive, send)
    return sent


async def test_a_state_ends_with_its_session() -> None:
    made: list[Desk] = []
    template = Template(customers=1, orders=0)

    def make() -> Desk:
        made.append(Desk(template.copy()))
        return made[-1]

    now = 0.0
    states = StatePerSession(make, lambda: now)
    sdk = Sdk()
    app = states.around(sdk)
    for session in ("deleted", "silent", "busy"):
        await _request(app, "POST", session)
        states.of(session)
    with pytest.raises(MCPError):
        states.of("unheard of")
    with pytest.raises(MCPError):
        states.of(None)
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
    assert (await _request(app, "GET", "busy"))[0]["status"] == 405
    template.close()
    for desk in made:
        with pytest.raises(Exception, match="closed database"):
            desk.find_customers("a", 1)


def test_a_port_that_is_taken_is_an_error(desk_url: str) -> None:
    port = desk_url.rpartition(":")[2].partition("/")[0]
    command = (sys.executable, SERVER, "--http", "--port", port)
    taken = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert taken.returncode != 0
    assert b"in use" in taken.stderr
