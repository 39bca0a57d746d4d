"""A thousand rollouts at once leave nothing behind: no task, thread, descriptor or process."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
from msgspec.structs import replace
from tasks import Writer

import nexau
from nexau.definitions.values import Agent, StdioServer, Task

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROLLOUTS = 1024
WARM_UP = 8
"""Rollouts that come first, so that what outlives a runtime by design is there already: idle worker
threads, and whatever a library opens once.
"""
DESK = Path(__file__).parents[2] / "examples" / "desk" / "agent.stdio.yaml"


def desk(mark: str) -> Agent:
    """The desk, its servers marked in their environment."""
    agent = nexau.load_agent(DESK)
    server = agent.mcp_servers["desk"]
    assert isinstance(server, StdioServer)
    marked = replace(server, env={**server.env, "NEXAU_TEST_MARK": mark})
    return replace(agent, mcp_servers={"desk": marked})


def gold(count: int) -> list[Task]:
    with closing(Writer(seed=1)) as writer:
        return [Task(**task) for task in writer.tasks(count)]


def servers(mark: str) -> Iterator[int]:
    """Processes that carry the mark, whoever their parent is by now."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("NEXAU_TEST_MARK") == mark:
                yield process.pid


def tasks_alive(backend: str) -> int:
    if backend == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def held(backend: str) -> dict[str, Any]:
    process = psutil.Process()
    return {
        "tasks": tasks_alive(backend),
        "descriptors": process.num_fds(),
        "children": [child.pid for child in process.children(recursive=True)],
    }


async def play(agent: Agent, tasks: list[Task], mark: str) -> tuple[list[str], int, int]:
    """Ids of the trajectories, and how many rollouts and servers there were at most."""
    ids: list[str] = []
    running = processes = 0
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent, tasks, concurrency=len(tasks)) as run:
            async for trajectory in run:
                assert trajectory.status == "completed", trajectory.error
                assert trajectory.steps
                ids.append(trajectory.id)
                running = max(running, run.statistics()["running"])
                if len(ids) % 64 == 0:
                    processes = max(processes, len(list(servers(mark))))
    return ids, running, processes


async def test_a_thousand_rollouts_leave_nothing_behind(anyio_backend_name: str) -> None:
    mark = uuid.uuid4().hex
    agent, tasks = desk(mark), gold(ROLLOUTS)
    await play(agent, tasks[:WARM_UP], mark)
    before, threads = held(anyio_backend_name), threading.active_count()

    ids, running, processes = await play(agent, tasks, mark)

    assert len(ids) == len(set(ids)) == ROLLOUTS
    # Not all: some have ended by the time that the first comes out of the iterator.
    assert running > 0.9 * ROLLOUTS
    assert processes > 1
    assert list(servers(mark)) == []
    assert held(anyio_backend_name) == before
    # Worker threads that nobody needed for ten seconds have gone.
    assert threading.active_count() <= threads
