"""openai-agents: `Runner.run` of an `Agent`, tracing off."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from agents import (
    Agent,
    Model,
    ModelResponse,
    OpenAIChatCompletionsModel,
    Runner,
    Usage,
    function_tool,
    set_tracing_disabled,
)
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import CHILDREN, SYSTEM, Say, Work, script


class Scripted(Model):
    """Turns that cost next to nothing."""

    def __init__(self, work: Work, agent: str = "") -> None:
        self._work = work
        self._turns = [_turn(say, number) for number, say in enumerate(script(work.case, agent))]

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,  # noqa: A002 - the name of the interface
        *_: Any,
        **__: Any,
    ) -> Any:
        await self._work.think()
        done = 0
        if isinstance(input, list):
            done = sum(item.get("type") == "function_call_output" for item in input)
        return self._turns[done]

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def _turn(say: Say, number: int) -> ModelResponse:
    output: list[Any] = [
        ResponseFunctionToolCall(
            arguments=json.dumps({"input" if k == "task" else k: v for k, v in arguments.items()}),
            call_id=f"call_{number}_{i}",
            name=name,
            type="function_call",
        )
        for i, (name, arguments) in enumerate(say.calls)
    ]
    if not output:
        text = ResponseOutputText(annotations=[], text=say.text, type="output_text")
        output = [
            ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
        ]
    return ModelResponse(output=output, usage=Usage(), response_id=None)


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    set_tracing_disabled(True)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(each) for each in _servers(job)]
        tools: list[Any] = [] if servers else [function_tool(tool_function(work))]
        model: Any = Scripted(work)
        if job.model:
            client = AsyncOpenAI(base_url=job.model, api_key="none", timeout=300, max_retries=0)
            model = OpenAIChatCompletionsModel("fake", await stack.enter_async_context(client))
        if job.case.delegates:
            tools = [
                Agent(
                    name=name, instructions=SYSTEM, model=Scripted(work, name), tools=tools
                ).as_tool(name, f"Knows all about {name}.", custom_output_extractor=_told)
                for name in CHILDREN
            ]
        agent = Agent(
            name="desk", instructions=SYSTEM, model=model, tools=tools, mcp_servers=servers
        )

        async def one(task: str) -> dict[str, Any]:
            done = await Runner.run(agent, task, max_turns=20)
            return {"answer": done.final_output, "messages": done.to_input_list()}

        yield driver(job, one)


async def _told(done: Any) -> str:
    """What a sub-agent did, so that the trajectory holds it."""
    return json.dumps({"answer": done.final_output, "messages": done.to_input_list()})


def _servers(job: Job) -> list[Any]:
    if job.case.tool == "python":
        return []
    options: dict[str, Any] = {"cache_tools_list": True, "client_session_timeout_seconds": 120}
    if job.case.tool == "http":
        return [MCPServerStreamableHttp({"url": job.url, "timeout": 120}, **options)]
    command, *arguments = job.command
    return [MCPServerStdio({"command": command, "args": arguments}, **options)]


if __name__ == "__main__":
    serve(open_contender, "openai-agents", "openai", "mcp")
