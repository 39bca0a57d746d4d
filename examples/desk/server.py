"""A support desk as an MCP server: customers, orders, returns, refunds, tickets.

    python server.py --stdio              one process, one state; the tool `reset` makes it as new
    python server.py --http --port 8000   one process, one state for each MCP session

Written with the low-level server of the official SDK. Over HTTP it answers in JSON rather than in
event streams: 0.5 ms of CPU a call instead of 1.3.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
import msgspec
import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from catalogue import TOOLS
from nexau.transports.guard import Guard, GuardedApp, Unguarded
from rules import Desk, RefusedError
from sessions import IDLE, OneState, StatePerSession, refuse_stateless
from store import Template

Context = ServerRequestContext[Any, Any]
_EMPTY: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def _listing() -> types.ListToolsResult:
    tools = [
        types.Tool(
            name=tool.name,
            description=tool.description,
            input_schema=tool.schema(),
            annotations=types.ToolAnnotations(read_only_hint=not tool.writes),
        )
        for tool in TOOLS.values()
    ]
    reset = types.Tool(name="reset", description="Make the state as new.", input_schema=_EMPTY)
    return types.ListToolsResult(tools=[*tools, reset])


def _answer(body: dict[str, Any], *, is_error: bool = False) -> dict[str, Any]:
    """A plain dict: a `CallToolResult` would be built only to be taken apart again."""
    text = msgspec.json.encode(body).decode()
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": body,
        "isError": is_error,
        "resultType": "complete",
    }


def call(
    states: OneState | StatePerSession, session: str | None, name: str, arguments: Any
) -> HandlerResult:
    """One tool call on the state of `session`. Whatever is wrong with it is in the answer."""
    if name == "reset":
        states.reset(session)
        return _answer({"reset": True})
    tool = TOOLS.get(name)
    if tool is None:
        return _answer({"code": "unknown_tool", "message": f"no tool {name!r}"}, is_error=True)
    try:
        return _answer(tool.call(states.of(session), arguments or {}))
    except RefusedError as refusal:
        return _answer({"code": refusal.code, "message": str(refusal)}, is_error=True)
    except msgspec.ValidationError as error:
        return _answer({"code": "invalid_arguments", "message": str(error)}, is_error=True)


def build(states: OneState | StatePerSession, latency: float) -> Server[Any]:
    """`latency` in seconds is added to each answer."""
    listing = _listing()

    async def list_tools(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listing

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> HandlerResult:
        headers = getattr(context.request, "headers", {})
        answer = call(states, headers.get("mcp-session-id"), params.name, params.arguments)
        if latency:
            await anyio.sleep(latency)
        return answer

    server = Server[Any]("desk", version="1.0", on_list_tools=list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    return server


def serve_http(
    host: str, port: int, guard: Guard, template: Callable[[], Desk], latency: float
) -> None:
    states = StatePerSession(template)
    server = build(states, latency)
    server.middleware.append(refuse_stateless)
    app = server.streamable_http_app(json_response=True, session_idle_timeout=IDLE, host=host)
    uvicorn.run(
        GuardedApp(states.around(app), guard),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # Clients that keep connections open should not find them closed between two calls.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )


async def serve_stdio(template: Callable[[], Desk], latency: float) -> None:
    server = build(OneState(template), latency)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def main() -> None:
    parser = argparse.ArgumentParser(description="A support desk as an MCP server.")
    transport = parser.add_mutually_exclusive_group(required=True)
    transport.add_argument("--stdio", action="store_true")
    transport.add_argument("--http", action="store_true")
    parser.add_argument(
        "--host", default="127.0.0.1", help="any other needs a token in the variable DESK_TOKEN"
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each call")
    options = parser.parse_args()
    seeded = Template(options.seed)
    if options.http:
        try:
            guard = Guard.listening(options.host, token=os.environ.get("DESK_TOKEN") or None)
        except Unguarded as error:
            parser.error(str(error))
        made = lambda: Desk(seeded.copy())  # noqa: E731
        serve_http(options.host, options.port, guard, made, options.latency)
    else:
        anyio.run(serve_stdio, lambda: Desk(seeded.copy()), options.latency)


if __name__ == "__main__":
    main()
