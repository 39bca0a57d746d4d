"""A stateful MCP server on the official SDK: counts, dies, hangs and resets on request."""

import os
import sys

import anyio
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("counter")
counts: dict[str, int] = {}


def session(context: Context) -> str:
    request = context.request_context.request
    headers = getattr(request, "headers", None) or {}
    return headers.get("mcp-session-id", "stdio")


@server.tool()
async def increment(context: Context, by: int = 1) -> int:
    """Adds to the count of this session and returns it."""
    key = session(context)
    counts[key] = counts.get(key, 0) + by
    return counts[key]


@server.tool()
async def reset(context: Context) -> str:
    """Makes the count zero."""
    counts.pop(session(context), None)
    return "ok"


@server.tool()
async def hang() -> str:
    """Never answers."""
    await anyio.sleep_forever()
    return ""


@server.tool()
async def refuse() -> str:
    """Fails."""
    raise ValueError("refused by the server")


@server.tool()
async def die() -> str:
    """Ends the process without an answer."""
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
async def pid() -> int:
    """The process."""
    return os.getpid()


if __name__ == "__main__":
    if "--port" in sys.argv:
        server.run("streamable-http", port=int(sys.argv[sys.argv.index("--port") + 1]))
    else:
        server.run("stdio")
