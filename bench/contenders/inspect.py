"""inspect_ai: its `react` agent, in evaluations of as many samples as run at once."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

os.environ["INSPECT_DISPLAY"] = "none"

from inspect_ai import Task, eval_async
from inspect_ai.agent import react
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log_async
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    get_model,
    modelapi,
)
from inspect_ai.tool import Tool, ToolCall, mcp_server_http, mcp_server_stdio, tool

from bench.child import Job, Run, serve
from bench.contenders.driving import tool_function
from bench.work import SYSTEM, Say, Work, script


@modelapi("scripted")
class Scripted(ModelAPI):
    """Turns that cost next to nothing."""

    def __init__(self, work: Work) -> None:
        super().__init__("scripted")
        self._work = work
        self._turns = [(say, number) for number, say in enumerate(script(work.case, ""))]

    async def generate(self, input: Any, *_: Any, **__: Any) -> ModelOutput:  # noqa: A002
        await self._work.think()
        return _output(*self._turns[sum(message.role == "assistant" for message in input)])

    def max_connections(self) -> int:
        return 100_000


def _output(say: Say, number: int) -> ModelOutput:
    calls = [
        ToolCall(id=f"call_{number}_{i}", function=name, arguments=dict(arguments))
        for i, (name, arguments) in enumerate(say.calls)
    ]
    message = ChatMessageAssistant(content=say.text, tool_calls=calls or None, source="generate")
    choice = ChatCompletionChoice(message=message, stop_reason="tool_calls" if calls else "stop")
    return ModelOutput(model="scripted", choices=[choice])


def _function(work: Work) -> Tool:
    function = tool_function(work)

    @tool(name="get_customer")
    def get_customer() -> Tool:
        async def execute(customer_id: str) -> str:
            """All that is known of one customer.

            Args:
                customer_id: As C-1042
            """
            return await function(customer_id)

        return execute

    return get_customer()


def _agent(model: Any, tools: list[Any], name: str = "desk") -> Any:
    return react(
        name=name,
        description=f"Knows all about {name}.",
        prompt=SYSTEM,
        tools=tools,
        model=model,
        submit=False,
    )


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    config = GenerateConfig(max_connections=100_000)
    model: Any = Model(Scripted(work), config)
    if job.model:
        model = get_model("openai-api/fake/fake", base_url=job.model, api_key="none", config=config)
    tools: list[Any] = [_function(work) if job.case.tool == "python" else _server(job)]

    async def run(tasks: Iterable[str], concurrency: int) -> None:
        # An evaluation takes a whole data set, so the rollouts go in waves.
        source = iter(tasks)
        with job.output.open("ab") as output, tempfile.TemporaryDirectory() as logs:
            while wave := list(islice(source, concurrency)):
                for log in await _evaluate(_agent(model, tools), model, wave, logs):
                    whole = await read_eval_log_async(log.location)
                    for sample in whole.samples or ():
                        record = {"messages": [m.model_dump(mode="json") for m in sample.messages]}
                        output.write(json.dumps(record).encode() + b"\n")

    yield run


async def _evaluate(agent: Any, model: Any, wave: list[str], logs: str) -> Any:
    task = Task(dataset=[Sample(input=text) for text in wave], solver=agent)
    return await eval_async(
        task,
        model=model,
        max_samples=len(wave),
        max_tasks=1,
        log_dir=logs,
        log_realtime=False,
        log_samples=True,
        score=False,
    )


def _server(job: Job) -> Any:
    if job.case.tool == "http":
        return mcp_server_http(url=job.url, timeout=120)
    command, *arguments = job.command
    return mcp_server_stdio(command=command, args=arguments)


if __name__ == "__main__":
    serve(open_contender, "inspect-ai", "openai", "mcp")
