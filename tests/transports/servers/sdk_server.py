"""A server of the official SDK (2.x), with a tool for each thing that a client must cope with.

`sdk_server.py stdio` or `sdk_server.py http PORT [json|sse]`.
"""

import sys
from typing import Annotated, Any

import anyio
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
    await ctx.notify_tools_changed()
    return "grown"


class Name(BaseModel):
    name: str


async def ask_name() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


@server.tool()
async def greet(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """Ask for a name."""
    return f"Hello, {who.name}"


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        as_json = sys.argv[3:] == ["json"]
        server.run("streamable-http", port=int(sys.argv[2]), json_response=as_json)


if __name__ == "__main__":
    main()
