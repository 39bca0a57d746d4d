"""This runtime, as a program that embeds it would use it, with its defaults."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import nexau
from bench.child import Broken, Job, Run, serve
from bench.work import CHILDREN, SYSTEM, TOOL, Say, Work, script
from nexau.definition import Agent, HttpServer, McpTools, Prompt, PythonTool, Server, StdioServer
from nexau.logs import configure
from nexau.models.base import ModelRequest, ToolCall, Turn
from nexau.transports.lines import open_lines


class Scripted:
    """A `Model` that costs next to nothing."""

    def __init__(self, work: Work, agent: str = "") -> None:
        self._work = work
        self._turns = tuple(
            _turn(say, number) for number, say in enumerate(script(work.case, agent))
        )

    async def turn(self, request: ModelRequest) -> Turn:
        await self._work.think()
        return self._turns[request.turn]

    async def aclose(self) -> None:
        """Holds nothing."""


def _turn(say: Say, number: int) -> Turn:
    calls = tuple(
        ToolCall(f"call_{number}_{i}", name, dict(arguments))
        for i, (name, arguments) in enumerate(say.calls)
    )
    return Turn(say.text, calls, finish_reason="tool_calls" if calls else "stop", model="scripted")


def agent_of(job: Job, work: Work) -> Agent:
    """The agent that does the work of the case."""

    async def get_customer(customer_id: str) -> str:
        """All that is known of one customer.

        Args:
            customer_id: As C-1042
        """
        return await work.look_up(customer_id)

    tool: PythonTool | McpTools = nexau.python_tool(get_customer)
    servers: dict[str, Server] = {}
    if job.case.tool != "python":
        tool = McpTools("desk", include=(TOOL,))
        servers["desk"] = (
            HttpServer(url=job.url)
            if job.case.tool == "http"
            else StdioServer(command=job.command[0], args=job.command[1:])
        )
    children = tuple(
        Agent(name, Scripted(work, name), f"Knows all about {name}.", Prompt(SYSTEM), (tool,))
        for name in (CHILDREN if job.case.delegates else ())
    )
    return Agent(
        "desk",
        Scripted(work),
        system_prompt=Prompt(SYSTEM),
        tools=() if children else (tool,),
        agents=children,
        mcp_servers=servers,
    )


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    agent = agent_of(job, work)
    async with nexau.open_runtime() as runtime:
        await runtime.prepare(agent)

        async def run(tasks: Iterable[str], concurrency: int) -> None:
            descriptor = os.open(job.output, os.O_WRONLY | os.O_APPEND)
            try:
                async with open_lines(descriptor) as writer:
                    sink = nexau.LineSink(writer)
                    async with runtime.rollouts(
                        agent, tasks, concurrency=concurrency, sinks=[sink]
                    ) as rollouts:
                        summary = await rollouts.wait()
            finally:
                os.close(descriptor)
            if set(summary.by_status) != {"completed"}:
                raise Broken(f"rollouts ended as {summary.by_status}")

        yield run


if __name__ == "__main__":
    configure()
    serve(open_contender, "nexau", "anyio", "msgspec")
