"""This runtime, as a program that embeds it would use it, with its defaults.

`--variant` takes a part away or adds one, for the question of what it costs.
"""

import gc
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nexau
from bench.child import Broken, Job, Run, serve
from bench.deepsize import held
from bench.work import SYSTEM, TOOL, Say, Work, children_of, script
from nexau.agent import AgentActor
from nexau.definitions.values import (
    Agent,
    HttpServer,
    McpTools,
    OpenAIModel,
    Pool,
    Prompt,
    PythonTool,
    Server,
    StdioServer,
)
from nexau.logs import configure
from nexau.models.base import ModelRequest, ToolCall, Turn
from nexau.output.sinks import Emits
from nexau.prepare import Prepared
from nexau.scope import Scope
from nexau.tools import as_result
from nexau.transports.lines import open_lines
from nexau.transports.protocol import Call, Result


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
        sessions: Any = "rollout" if job.case.isolated else "shared"
        pool = Pool(max=job.concurrency, uses=1) if job.case.isolated else Pool()
        servers["desk"] = (
            HttpServer(url=job.url, sessions=sessions, pool=pool)
            if job.case.tool == "http"
            else StdioServer(
                command=job.command[0], args=job.command[1:], sessions=sessions, pool=pool
            )
        )
    children = tuple(_sub_agent(work, name, tool) for name in children_of(job.case, ""))
    model: Any = Scripted(work)
    if job.case.model == "http":
        model = OpenAIModel("fake", job.model, None, stream=job.variant == "streamed")
    return Agent(
        "desk",
        model,
        system_prompt=Prompt(SYSTEM),
        tools=() if children else (tool,),
        agents=children,
        mcp_servers=servers,
    )


def _sub_agent(work: Work, name: str, tool: PythonTool | McpTools) -> Agent:
    below = tuple(_sub_agent(work, child, tool) for child in children_of(work.case, name))
    return Agent(
        name,
        Scripted(work, name),
        f"Knows all about {name}.",
        Prompt(SYSTEM),
        () if below else (tool,),
        below,
    )


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    agent = agent_of(job, work)
    async with nexau.open_runtime() as runtime:
        prepared = await runtime.prepare(agent)
        if job.variant == "unchecked":
            prepared.validators.clear()
        elif job.variant == "direct":
            _without_actors(prepared, agent)

        async def run(tasks: Iterable[str], concurrency: int) -> None:
            async with AsyncExitStack() as stack:
                sinks = [await stack.enter_async_context(_sink(job.output, "trajectories"))]
                if job.variant == "events":
                    path = job.output.with_suffix(".events")
                    sinks.append(await stack.enter_async_context(_sink(path, "events")))
                keep = None
                if job.variant == "journal":
                    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=job.output.parent))
                    keep = Path(folder) / "run"
                async with runtime.rollouts(
                    agent, tasks, concurrency=concurrency, sinks=sinks, out=keep
                ) as rollouts:
                    summary = await rollouts.wait()
            if set(summary.by_status) != {"completed"}:
                raise Broken(f"rollouts ended as {summary.by_status}")

        run.own_messages = _own_messages  # type: ignore[attr-defined]
        yield run


def _own_messages() -> int:
    """Bytes of the messages and steps of all agents that live."""
    agents = [each for each in gc.get_objects() if type(each) is AgentActor]
    return held([[each._messages, each.scope.recorder.steps] for each in agents])


@asynccontextmanager
async def _sink(path: Path, emits: Emits) -> AsyncIterator[nexau.LineSink]:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        async with open_lines(descriptor) as writer:
            yield nexau.LineSink(writer, emits)
    finally:
        os.close(descriptor)


class _Called:
    """A tool as a bare call: no actor, no deadline, nothing that restarts it."""

    def __init__(self, tool: PythonTool) -> None:
        self._function = tool.function

    async def send(self, scope: Scope, call: Call) -> Result:
        return as_result(call.id, await self._function(**call.arguments))

    def failed(self, call: Call, error: Exception) -> Result:
        raise error


class _Asked:
    """A model as a bare call."""

    def __init__(self, model: Any) -> None:
        self.ask = model.turn


def _without_actors(prepared: Prepared, agent: Agent) -> None:
    prepared.model = _Asked(agent.model)  # type: ignore[assignment]
    for tool in agent.tools:
        assert isinstance(tool, PythonTool)
        prepared.tools[tool.spec.name] = _Called(tool)


if __name__ == "__main__":
    configure()
    serve(open_contender, "nexau", "anyio", "msgspec")
