"""A server of the official SDK's first line (1.x), run by a Python that has it.

`sdk1_server.py stdio` or `sdk1_server.py http PORT [json]`.
"""

import sys

import anyio
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

http = sys.argv[1] == "http"
server = FastMCP(
    "sdk1-server",
    host="127.0.0.1",
    port=int(sys.argv[2]) if http else 0,
    json_response="json" in sys.argv,
    log_level="WARNING",
)
cancelled = []


class Sum(BaseModel):
    total: int


class Name(BaseModel):
    name: str


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(total=a + b)


@server.tool()
def fail() -> str:
    """Always fail."""
    raise ValueError("no luck today")


@server.tool()
async def slow(seconds: float) -> str:
    """Take a while, and remember who did not wait."""
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        cancelled.append(seconds)
        raise
    return "done"


@server.tool()
def given_up() -> int:
    """How many calls were cancelled."""
    return len(cancelled)


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Report progress on the way."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to, f"at {number}")
    return "counted"


@server.tool()
async def grow(ctx: Context) -> str:
    """Add a tool and say so."""
    server.add_tool(lambda: "new", name="new", description="New.")
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool()
async def greet(ctx: Context) -> str:
    """Ask for a name."""
    answer = await ctx.elicit("Who are you?", Name)
    return f"Hello, {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def think(ctx: Context) -> str:
    """Ask the client's model."""
    asked = SamplingMessage(role="user", content=TextContent(type="text", text="Why?"))
    answer = await ctx.session.create_message([asked], max_tokens=10)
    return answer.content.text


@server.tool()
async def where(ctx: Context) -> str:
    """Ask for the client's roots."""
    answer = await ctx.session.list_roots()
    return str(answer.roots[0].uri)


if __name__ == "__main__":
    server.run("streamable-http" if http else "stdio")
