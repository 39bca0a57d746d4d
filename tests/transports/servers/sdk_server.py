"""A server of the official SDK (2.x), with a tool for each thing that a client must cope with.

`sdk_server.py stdio` or `sdk_server.py http PORT [json|sse] [legacy]`, where `legacy` knows
nothing of 2026-07-28.
"""

import sys
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, Elicit, Image, MCPServer, Resolve
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("sdk-server", version="1.2.3", log_level="WARNING")


class Sum(BaseModel):
    total: int


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(total=a + b)


@server.tool()
async def slow(seconds: float) -> str:
    """Take a while."""
    await anyio.sleep(seconds)
    return "done"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def fail() -> str:
    """Always fail."""
    raise ValueError("no luck today")


@server.tool(structured_output=False)
def mixed() -> CallToolResult:
    """Every kind of content."""
    return CallToolResult(
        content=[
            TextContent(text="hello"),
            Image(data=b"png", format="png").to_image_content(),
            AudioContent(data="d2F2", mime_type="audio/wav"),
            EmbeddedResource(
                resource=TextResourceContents(uri="note://1", text="a note", mime_type="text/plain")
            ),
            ResourceLink(uri="note://2", name="another", size=5),
        ]
    )


@server.tool()
async def count(to: int, ctx: Context[Any]) -> str:
    """Report progress on the way."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to, f"at {number}")
    return "counted"


@server.tool()
def big(size: int) -> str:
    """Return so many characters."""
    return "x" * size


@server.tool()
def region(where: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Has an argument that is mirrored into a header."""
    return where


@server.tool()
async def grow(ctx: Context[Any]) -> str:
    """Add a tool and say so."""
    server.add_tool(lambda: "new", name="new", description="New.")
    if ctx.protocol_version == "2026-07-28":
        await ctx.notify_tools_changed()
    else:
        await ctx.session.send_tool_list_changed()
    return "grown"


class Name(BaseModel):
    name: str


async def ask_name() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


@server.tool()
async def greet(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """Ask for a name."""
    return f"Hello, {who.name}"


class Legacy:
    """Refuses what came with 2026-07-28, as older servers do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"mcp-method", b"server/discover") in scope.get("headers", ()):
            await PlainTextResponse("Bad Request: no session", 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        app = server.streamable_http_app(json_response="json" in sys.argv)
        if "legacy" in sys.argv:
            app.add_middleware(Legacy)
        uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()
