"""For scripts and notebooks without an event loop of their own, or with one that is in the way.

    trajectory = nexau.run("agent.yaml", "Which ticket is the oldest?")

    for trajectory in nexau.rollouts("agent.yaml", "tasks.jsonl", concurrency=64):
        ...

The runtime lives in a thread with its own event loop for as long as the call or the loop lasts.
"""

import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Future
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from os import PathLike
from pathlib import Path

from anyio.from_thread import BlockingPortal

from nexau.actors._backend import run as run_loop
from nexau.definitions.agentfile import load_agent
from nexau.definitions.values import Agent, Task
from nexau.runtime import open_runtime
from nexau.tasks.stream import TaskSource, read_tasks
from nexau.trajectory import Trajectory
from nexau.workers.opening import open_workers

AgentLike = Agent | str | PathLike[str]


def run(agent: AgentLike, task: Task | str, *, seed: int = 0) -> Trajectory:
    """One rollout. Raises `DefinitionError` or `ToolsUnavailable` where it could not begin."""
    with closing(rollouts(agent, [task], concurrency=1, seed=seed)) as found:
        return next(found)


def rollouts(
    agent: AgentLike,
    tasks: TaskSource,
    *,
    concurrency: int = 64,
    repeat: int = 1,
    seed: int = 0,
    retries: int = 0,
    workers: int = 1,
) -> Generator[Trajectory, None, None]:
    """Trajectories in order of completion. `tasks` is a path, `-`, or an iterable.

    Runs from the first iteration on. Leaving the loop, in whatever way, cancels what still runs
    and closes every server; a generator that is kept needs its `close()`. An iterable of tasks is
    run in another thread. Raises `DefinitionError` at once for an agent that cannot be used,
    while iterating as `Run` does. With several `workers` the rollouts run in so many processes, as
    `open_workers` says.
    """
    if workers > 1:
        many = open_workers(
            agent,
            tasks,
            workers=workers,
            concurrency=concurrency,
            repeat=repeat,
            seed=seed,
            retries=retries,
        )
        return _iterate(many)
    definition = agent if isinstance(agent, Agent) else load_agent(Path(agent))

    @asynccontextmanager
    async def running() -> AsyncIterator[AsyncIterator[Trajectory]]:
        async with (
            open_runtime(seed=seed) as runtime,
            read_tasks(tasks) as stream,
            runtime.rollouts(
                definition, stream, concurrency=concurrency, repeat=repeat, retries=retries
            ) as run,
        ):
            yield run

    return _iterate(running())


def _iterate(
    running: AbstractAsyncContextManager[AsyncIterator[Trajectory]],
) -> Generator[Trajectory, None, None]:
    with _portal() as portal, ExitStack() as stack:
        entered = portal.wrap_async_context_manager(running)
        run = entered.__enter__()
        # However the loop is left, to the run it is its end: a GeneratorExit is not passed on.
        stack.callback(entered.__exit__, None, None, None)
        while (trajectory := portal.call(_next, run)) is not None:
            yield trajectory


async def _next(run: AsyncIterator[Trajectory]) -> Trajectory | None:
    return await anext(run, None)


@contextmanager
def _portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own. anyio's way to one does not ask our seam which."""
    ready: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    # A daemon, so that nothing but the end of the process waits for a loop that never began.
    thread = threading.Thread(target=run_loop, args=(serve,), name="nexau-runtime", daemon=True)
    thread.start()
    portal = ready.result()
    try:
        yield portal
    finally:
        portal.call(portal.stop, True)
        thread.join()
