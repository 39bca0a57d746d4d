"""agno: an `Agent` with a model, and a function or an MCP server as its tool."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

os.environ["AGNO_TELEMETRY"] = "false"

from agno.agent import Agent
from agno.models.base import Model
from agno.models.openai.like import OpenAILike
from agno.models.response import ModelResponse
from agno.tools.mcp import MCPTools
from mcp import StdioServerParameters

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import CHILDREN, SYSTEM, TOOL, Work, script


class Scripted(Model):
    """Turns that cost next to nothing."""

    def __init__(self, work: Work, agent: str = "") -> None:
        super().__init__(id="scripted")
        self._work = work
        self._turns = [
            ModelResponse(
                role="assistant",
                content=say.text,
                tool_calls=[
                    {
                        "id": f"call_{number}_{i}",
                        "type": "function",
                        "function": {"name": name, "arguments": json.dumps(arguments)},
                    }
                    for i, (name, arguments) in enumerate(say.calls)
                ],
            )
            for number, say in enumerate(script(work.case, agent))
        ]

    async def ainvoke(self, messages: Any, assistant_message: Any, **_: Any) -> ModelResponse:
        await self._work.think()
        assistant_message.metrics.stop_timer()
        return self._turns[sum(message.role == "assistant" for message in messages)]

    def invoke(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    invoke_stream = ainvoke_stream = invoke
    _parse_provider_response = _parse_provider_response_delta = invoke


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        tool = await _tool(job, work, stack)
        common: dict[str, Any] = {"system_message": SYSTEM, "telemetry": False}
        model: Any = Scripted(work)
        if job.model:
            model = OpenAILike(id="fake", base_url=job.model, api_key="none", timeout=300)
        children = {
            name: Agent(model=Scripted(work, name), tools=[tool], **common)
            for name in (CHILDREN if job.case.delegates else ())
        }
        tools = [_delegation(name, child) for name, child in children.items()] or [tool]

        async def one(task: str) -> dict[str, Any]:
            done = await Agent(model=model, tools=tools, **common).arun(task)
            return {"answer": done.content, "messages": [m.to_dict() for m in done.messages]}

        yield driver(job, one)


async def _tool(job: Job, work: Work, stack: AsyncExitStack) -> Any:
    if job.case.tool == "python":
        return tool_function(work)
    if job.case.tool == "http":
        tools = MCPTools(url=job.url, transport="streamable-http", timeout_seconds=120)
    else:
        command, *arguments = job.command
        params = StdioServerParameters(command=command, args=arguments)
        tools = MCPTools(server_params=params, transport="stdio", include_tools=[TOOL])
    return await stack.enter_async_context(tools)


def _delegation(name: str, child: Agent) -> Any:
    async def ask(task: str) -> str:
        """Asks a sub-agent.

        Args:
            task: What to do
        """
        done = await child.arun(task)
        return json.dumps(
            {"answer": done.content, "messages": [m.to_dict() for m in done.messages]}
        )

    ask.__name__ = name
    return ask


if __name__ == "__main__":
    serve(open_contender, "agno", "openai", "mcp")
