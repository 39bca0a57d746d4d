"""pydantic-ai: `Agent.run`, with a function or an MCP toolset."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastmcp.client.transports import StdioTransport
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import CHILDREN, SYSTEM, Say, Work, script


def scripted(work: Work, agent: str = "") -> FunctionModel:
    """Turns that cost next to nothing."""
    turns = [_parts(say, number) for number, say in enumerate(script(work.case, agent))]

    async def answer(messages: list[Any], _info: Any) -> ModelResponse:
        await work.think()
        done = sum(message.kind == "response" for message in messages)
        return ModelResponse(parts=turns[done])

    return FunctionModel(answer)


def _parts(say: Say, number: int) -> list[Any]:
    calls = [
        ToolCallPart(name, arguments, tool_call_id=f"call_{number}_{i}")
        for i, (name, arguments) in enumerate(say.calls)
    ]
    return calls or [TextPart(say.text)]


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        model: Any = scripted(work)
        if job.model:
            client = AsyncOpenAI(base_url=job.model, api_key="none", timeout=300, max_retries=0)
            provider = OpenAIProvider(openai_client=await stack.enter_async_context(client))
            model = OpenAIChatModel("fake", provider=provider)
        toolsets = [await stack.enter_async_context(each) for each in _toolsets(job)]
        tools: list[Any] = [] if toolsets else [tool_function(work)]
        if job.case.delegates:
            tools = [_delegation(work, name, tools) for name in CHILDREN]
        agent = Agent(model, system_prompt=SYSTEM, tools=tools, toolsets=toolsets)

        async def one(task: str) -> dict[str, Any]:
            done = await agent.run(task)
            messages = ModelMessagesTypeAdapter.dump_python(done.all_messages(), mode="json")
            return {"answer": done.output, "messages": messages}

        yield driver(job, one)


def _toolsets(job: Job) -> list[Any]:
    if job.case.tool == "python":
        return []
    if job.case.tool == "http":
        return [MCPToolset(job.url)]
    command, *arguments = job.command
    return [MCPToolset(StdioTransport(command, arguments))]


def _delegation(work: Work, name: str, tools: list[Any]) -> Any:
    child = Agent(scripted(work, name), system_prompt=SYSTEM, tools=tools)

    async def ask(task: str) -> str:
        """Asks a sub-agent.

        Args:
            task: What to do
        """
        done = await child.run(task)
        return str(done.all_messages_json())

    ask.__name__ = name
    return ask


if __name__ == "__main__":
    serve(open_contender, "pydantic-ai-slim", "openai", "mcp")
