"""The same loop by hand, calling tools with the official MCP SDK's client."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from bench.child import Broken, Job, Run, serve
from bench.contenders.by_hand import BUFFER, Loop
from bench.work import TOOL, Work


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        if job.case.tool == "stdio":
            server = StdioServerParameters(command=job.command[0], args=list(job.command[1:]))
            streams = await stack.enter_async_context(stdio_client(server))
        else:
            streams = await stack.enter_async_context(streamable_http_client(job.url))
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
        await session.initialize()

        async def tool(arguments: dict[str, str]) -> str:
            result = await session.call_tool(TOOL, dict(arguments))
            (content,) = result.content
            if not isinstance(content, TextContent):
                raise Broken("the server's answer is no text")
            return content.text

        loop = Loop(work, tool)

        async def run(tasks: Iterable[str], concurrency: int) -> None:
            with job.output.open("ab", buffering=BUFFER) as output:
                await loop.run(tasks, concurrency, output)

        yield run


if __name__ == "__main__":
    serve(open_contender, "mcp", "anyio")
