"""Opens a run in several processes: what each is told, and how long all of it lives."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from os import PathLike, fspath

import anyio

from nexau.actors import open_system
from nexau.definitions.agentfile import load_agent
from nexau.definitions.values import Agent
from nexau.journal.directory import RunDirectory, keeping
from nexau.journal.durability import Durability
from nexau.journal.intake import take_up
from nexau.output.sinks import Sink
from nexau.scoring.judging import Graders
from nexau.tasks.assignments import Assignments, Repeated
from nexau.tasks.stream import TaskSource, read_tasks
from nexau.transports.scoping import transparent
from nexau.workers.agentpickle import main_of, pickled, pickled_graders
from nexau.workers.merging import Merging, kinds
from nexau.workers.run import WorkersRun
from nexau.workers.wire import Begin, WorkerSettings

DURABILITY = Durability()
NO_GRADERS = Graders()


@asynccontextmanager
async def open_workers(
    agent: Agent | str | PathLike[str],
    tasks: TaskSource | None,
    *,
    workers: int,
    concurrency: int = 64,
    repeat: int = 1,
    seed: int = 0,
    retries: int = 0,
    sinks: Sequence[Sink] = (),
    settings: WorkerSettings | None = None,
    out: RunDirectory | None = None,
    durability: Durability = DURABILITY,
    graders: Graders = NO_GRADERS,
) -> AsyncIterator[WorkersRun]:
    """A run in `workers` processes, which share `concurrency` and the models' limits by the minute.

    With `sinks`, which this process has, `wait`; without, iterate. An `Agent` that was
    built in code is pickled, so its functions are those of modules (or of `__main__`, which each
    worker imports as `multiprocessing` does); the path of an agent file is loaded by each. Raises
    `DefinitionError`, or `ToolsUnavailable` where a worker's servers cannot be had. Leaving the
    block early cancels what still runs. `out` and `tasks` are as for `Runtime.rollouts`; each
    worker keeps what it runs in a folder of its own there. `graders` are pickled too.
    """
    if min(workers, concurrency, repeat) < 1 or retries < 0:
        raise ValueError("workers, concurrency and repeat are at least 1, retries at least 0")
    count = min(workers, concurrency)
    if not isinstance(agent, Agent):
        load_agent(fspath(agent))  # what is wrong with it is told once, and before anything starts
    data, main = pickled(agent), main_of(agent)
    grading = pickled_graders(graders)
    begins = [
        Begin(
            data,
            main,
            count,
            concurrency // count + (number < concurrency % count),
            seed,
            retries,
            kinds(sinks) or ("trajectories",),
            settings or WorkerSettings(),
            str(out.root.absolute()) if out is not None else None,
            number + 1,
            durability,
            grading,
        )
        for number in range(count)
    ]
    stream = read_tasks(tasks) if tasks is not None else None
    with keeping(out, durability) as journal:
        assignments: Assignments
        if out is not None and journal is not None:
            assignments = take_up(out, journal, stream)
        elif stream is not None:
            assignments = Repeated(stream, repeat)
        else:
            raise TypeError("tasks may be None only where a run is gone on with")
        run = WorkersRun(assignments, concurrency, repeat)
        run.journal = journal
        # Closed whatever happens: the task that closes it at the end may not have got that far.
        with run._out:
            async with (
                open_system("workers") as system,
                transparent(anyio.create_task_group()) as group,
            ):
                if sinks:
                    run.merging = Merging(system, sinks, run.broken)
                group.start_soon(run.attend)
                try:
                    if journal is not None:
                        group.start_soon(run.keep, journal)
                    await run.start(group, begins)
                    yield run
                finally:
                    run._in.close()
                    group.cancel_scope.cancel()
