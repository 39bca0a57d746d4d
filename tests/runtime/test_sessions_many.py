"""A thousand isolated sessions over stdio, all open at once: each its own process, none left."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest
import trio

import nexau
from nexau.definitions.values import Agent, McpTools, Pool, StdioServer
from nexau.models.base import ModelRequest, ToolMessage, Turn, text_of
from nexau.testing import FunctionPolicy, calls

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SESSIONS = 1000
LIGHT = str(Path(__file__).parent / "servers" / "light.sh")


@pytest.fixture(autouse=True)
def descriptors_enough() -> Iterator[None]:
    """A session takes four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 8192:
        pytest.skip(f"at most {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def tasks_alive(backend: str) -> int:
    if backend == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def held(backend: str) -> tuple[int, int, set[int]]:
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    return tasks_alive(backend), psutil.Process().num_fds(), children


class Everybody:
    """Counts once, waits until all have, and counts again."""

    def __init__(self, count: int) -> None:
        self.missing = count
        self.all_here = anyio.Event()
        self.processes = 0

    async def play(self, request: ModelRequest) -> Turn:
        if request.turn == 0:
            return calls(("increment", {}))
        if request.turn == 1:
            self.missing -= 1
            if not self.missing:
                self.processes = len(psutil.Process().children())
                self.all_here.set()
            await self.all_here.wait()
            return calls(("increment", {}))
        said = [text_of(m.content) for m in request.messages if isinstance(m, ToolMessage)]
        return Turn(content=" ".join(said))


async def counted(sessions: int) -> tuple[list[str | None], int]:
    everybody = Everybody(sessions)
    server = StdioServer(
        command="sh", args=(LIGHT,), sessions="rollout", pool=Pool(max=sessions), start_timeout=300
    )
    agent = Agent(
        "counter",
        FunctionPolicy(everybody.play),
        tools=(McpTools("light"),),
        mcp_servers={"light": server},
    )
    async with nexau.open_runtime() as runtime:
        tasks = [str(number) for number in range(sessions)]
        async with runtime.rollouts(agent, tasks, concurrency=sessions) as run:
            answers = [trajectory.answer async for trajectory in run]
    return answers, everybody.processes


async def test_a_thousand_sessions_open_and_close(anyio_backend_name: str) -> None:
    await counted(8)  # what outlives a runtime by design is there from here on
    before = held(anyio_backend_name)
    answers, processes = await counted(SESSIONS)
    assert answers == ["1 2"] * SESSIONS, "each has a state of its own"
    assert processes >= SESSIONS, "all were open at once"
    assert held(anyio_backend_name) == before
