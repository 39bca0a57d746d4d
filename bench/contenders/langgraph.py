"""langchain's `create_agent`, which runs on langgraph."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, messages_to_dict
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool as as_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import CHILDREN, SYSTEM, Say, Work, script


class Scripted(BaseChatModel):
    """Turns that cost next to nothing."""

    _work: Any = PrivateAttr()
    _turns: Any = PrivateAttr()

    def __init__(self, work: Work, agent: str = "") -> None:
        super().__init__()
        self._work = work
        self._turns = [_turn(say, number) for number, say in enumerate(script(work.case, agent))]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: Any, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def _agenerate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        await self._work.think()
        done = sum(message.type == "ai" for message in messages)
        # Messages get ids of their own, so each turn is a new one.
        message = self._turns[done].model_copy()
        return ChatResult(generations=[ChatGeneration(message=message)])


def _turn(say: Say, number: int) -> AIMessage:
    calls = [
        {"name": name, "args": dict(arguments), "id": f"call_{number}_{i}"}
        for i, (name, arguments) in enumerate(say.calls)
    ]
    return AIMessage(content=say.text, tool_calls=calls)


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    async with AsyncExitStack() as stack:
        tools = await _tools(job, work, stack)
        model: Any = Scripted(work)
        if job.model:
            model = ChatOpenAI(model="fake", base_url=job.model, api_key="none", max_retries=0)
        if job.case.delegates:
            tools = [_delegation(work, name, tools) for name in CHILDREN]
        agent = create_agent(model, tools, system_prompt=SYSTEM)

        async def one(task: str) -> dict[str, Any]:
            done = await agent.ainvoke({"messages": [{"role": "user", "content": task}]})
            return {"messages": messages_to_dict(done["messages"])}

        yield driver(job, one)


async def _tools(job: Job, work: Work, stack: AsyncExitStack) -> list[Any]:
    if job.case.tool == "python":
        return [as_tool(tool_function(work))]
    how: dict[str, Any] = {"transport": "streamable_http", "url": job.url}
    if job.case.tool == "stdio":
        command, *arguments = job.command
        how = {"transport": "stdio", "command": command, "args": arguments}
    client = MultiServerMCPClient({"desk": how})
    return list(await load_mcp_tools(await stack.enter_async_context(client.session("desk"))))


def _delegation(work: Work, name: str, tools: list[Any]) -> Any:
    child = create_agent(Scripted(work, name), tools, system_prompt=SYSTEM)

    async def ask(task: str) -> str:
        """Asks a sub-agent."""
        done = await child.ainvoke({"messages": [{"role": "user", "content": task}]})
        return str(messages_to_dict(done["messages"]))

    return as_tool(name)(ask)


if __name__ == "__main__":
    serve(open_contender, "langchain", "langgraph", "langchain-openai", "mcp")
