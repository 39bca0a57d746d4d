"""autogen-agentchat: an `AssistantAgent` for each rollout, because it keeps its history."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import StdioServerParams, StreamableHttpServerParams, mcp_server_tools
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import CHILDREN, SYSTEM, Say, Work, script

INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=False,
    family="unknown",
    structured_output=False,
)


class Scripted(ChatCompletionClient):
    """Turns that cost next to nothing."""

    def __init__(self, work: Work, agent: str = "") -> None:
        self._work = work
        self._turns = [_turn(say, number) for number, say in enumerate(script(work.case, agent))]

    @property
    def model_info(self) -> ModelInfo:
        return INFO

    capabilities = model_info

    async def create(self, messages: Any, **_: Any) -> CreateResult:
        await self._work.think()
        return self._turns[sum(message.type == "AssistantMessage" for message in messages)]

    def create_stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Holds nothing."""

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    total_usage = actual_usage

    def count_tokens(self, *_: Any, **__: Any) -> int:
        return 0

    remaining_tokens = count_tokens


def _turn(say: Say, number: int) -> CreateResult:
    calls = [
        FunctionCall(id=f"call_{number}_{i}", name=name, arguments=json.dumps(arguments))
        for i, (name, arguments) in enumerate(say.calls)
    ]
    return CreateResult(
        finish_reason="function_calls" if calls else "stop",
        content=calls or say.text,
        usage=RequestUsage(prompt_tokens=0, completion_tokens=0),
        cached=False,
    )


def _agent(model: Any, tools: list[Any], name: str = "desk") -> AssistantAgent:
    return AssistantAgent(name, model, tools=tools, system_message=SYSTEM, max_tool_iterations=20)


async def _rollout(agent: AssistantAgent, task: str) -> dict[str, Any]:
    done = await agent.run(task=task)
    return {"messages": [message.model_dump(mode="json") for message in done.messages]}


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        tools = await _tools(job, work, stack)
        model: Any = Scripted(work)
        if job.model:
            model = OpenAIChatCompletionClient(
                model="fake", base_url=job.model, api_key="none", model_info=INFO, max_retries=0
            )
        if job.case.delegates:
            tools = [_delegation(name, Scripted(work, name), tools) for name in CHILDREN]

        async def one(task: str) -> dict[str, Any]:
            return await _rollout(_agent(model, tools), task)

        yield driver(job, one)


async def _tools(job: Job, work: Work, stack: AsyncExitStack) -> list[Any]:
    if job.case.tool == "python":
        return [FunctionTool(tool_function(work), "All that is known of one customer.")]
    params: Any
    if job.case.tool == "http":
        params = StreamableHttpServerParams(url=job.url, timeout=120)
        streams = await stack.enter_async_context(streamablehttp_client(job.url))
    else:
        command, *arguments = job.command
        params = StdioServerParams(command=command, args=arguments)
        server = StdioServerParameters(command=command, args=arguments)
        streams = await stack.enter_async_context(stdio_client(server))
    session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
    await session.initialize()
    return list(await mcp_server_tools(params, session))


def _delegation(name: str, model: Any, tools: list[Any]) -> Any:
    async def ask(task: str) -> str:
        """Asks a sub-agent."""
        return json.dumps(await _rollout(_agent(model, tools, name), task))

    return FunctionTool(ask, f"Knows all about {name}.", name=name)


if __name__ == "__main__":
    serve(open_contender, "autogen-agentchat", "autogen-ext", "openai", "mcp")
