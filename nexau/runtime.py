"""The runtime: what people embed. One tree of actors, any number of agents and runs."""

import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from nexau.actors import ActorSystem, PoolRef, open_system
from nexau.definitions.values import (
    Agent,
    ModelConfig,
    OpenAIModel,
    PlanModel,
    PythonTool,
    ReplayModel,
    ScriptModel,
    Task,
)
from nexau.group import Group
from nexau.histogram import Histogram
from nexau.journal.directory import RunDirectory, check_tools, create_run, keeping, new_manifest
from nexau.journal.durability import Durability
from nexau.journal.intake import take_up
from nexau.journal.keeper import Journal
from nexau.lag import LagMonitor
from nexau.models.base import Model
from nexau.models.registry import open_model
from nexau.output.sinks import Sink
from nexau.overdue import Overdue
from nexau.policy import PolicyActor
from nexau.prepare import Prepared, bind
from nexau.runs import Run, Runs
from nexau.scoring.judging import UNGRADED, Graders, Grading, Judge
from nexau.secrets.redaction import SECRETS
from nexau.servers import ServerPool, Servers, ToolsUnavailable
from nexau.subscription import Feed, Hub
from nexau.tasks.assignments import Assignments, Repeated
from nexau.tasks.stream import TaskSource, read_tasks
from nexau.tools import FunctionTool
from nexau.trajectory import Trajectory
from nexau.transports.http import HttpClient, open_http

CLOSE_SECONDS = 30.0
DURABILITY = Durability()

AnyModel = ModelConfig | Model

MODEL_CONFIGS = (OpenAIModel, PlanModel, ScriptModel, ReplayModel)


@asynccontextmanager
async def open_runtime(
    *, name: str = "nexau", seed: int = 0, threads: int = 32, files: Path | None = None
) -> AsyncIterator["Runtime"]:
    """A runtime, until the block ends: then every actor, server and thread of it is gone.

    `threads` bounds the worker threads in which plain Python tools run. `files` is where servers
    with `spill` put big results, in place of the directory that they name.
    """
    SECRETS.add_named(os.environ)
    async with open_http() as http, open_system(name, seed=seed) as system:
        runtime = Runtime(system, http, seed=seed, threads=threads, files=files)
        try:
            yield runtime
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
                await runtime._close()


class Runtime:
    """Made by `open_runtime`."""

    def __init__(
        self,
        system: ActorSystem,
        http: HttpClient,
        *,
        seed: int,
        threads: int,
        files: Path | None = None,
    ) -> None:
        self.system = system
        self._http = http
        self._seed = seed
        self._files = files
        self._threads = anyio.CapacityLimiter(threads)
        self._hub = Hub()
        self._lag = Histogram()
        self._prepared: dict[int, tuple[Agent, Prepared]] = {}
        self._preparing = anyio.Lock()
        self._models: list[Model] = []
        self._pools: list[ServerPool] = []
        self._servers = Servers()
        self._runs = Runs()
        self._overdue = Overdue()
        self._model_pools, self._tool_pools = Group(), Group()
        system.spawn(lambda: self._servers, name="servers")
        system.spawn(lambda: self._model_pools, name="models")
        system.spawn(lambda: self._tool_pools, name="tools")
        system.spawn(lambda: self._runs, name="runs")
        system.spawn(lambda: self._overdue, name="overdue")
        system.spawn(lambda: LagMonitor(self._lag), name="lag")

    async def run(self, agent: Agent, task: Task | str, *, seed: int | None = None) -> Trajectory:
        """One rollout. Raises `ToolsUnavailable` or `DefinitionError` where it could not begin."""
        async with self.rollouts(agent, [task], concurrency=1, seed=seed) as run:
            return await anext(run)

    @asynccontextmanager
    async def rollouts(
        self,
        agent: Agent,
        tasks: TaskSource | None,
        *,
        concurrency: int = 64,
        repeat: int = 1,
        seed: int | None = None,
        retries: int = 0,
        sinks: Sequence[Sink] = (),
        judge: Judge | None = None,
        signals: bool = False,
        judge_model: AnyModel | None = None,
        user_model: AnyModel | None = None,
        out: str | Path | RunDirectory | None = None,
        durability: Durability = DURABILITY,
    ) -> AsyncIterator[Run]:
        """Rollouts of every task, `repeat` times each, `concurrency` at once.

        A failed rollout is tried again up to `retries` times, and every attempt is kept. Leaving
        the block early cancels what still runs. Raises `ToolsUnavailable` or `DefinitionError`
        before anything has begun.

        `judge` scores each rollout as it ends; `signals` marks its steps by what came next, with
        the votes of `judge_model` where rules do not tell; `user_model` plays the users of tasks
        that give them a goal and no script.

        `out` keeps the run in a directory (docs/durability.md): a new one by its path, or one made
        by `nexau.journal.directory.create_run` or `resume_run`, whose repeat, seed and retries then
        hold. `tasks` are then all tasks from the first; None finishes what had been admitted.
        """
        if repeat < 1:
            raise ValueError("repeat is at least 1")
        seed = self._seed if seed is None else seed
        if isinstance(out, str | Path):
            manifest = new_manifest(
                agent,
                tasks=str(tasks) if isinstance(tasks, str | Path) else "iterable",
                concurrency=concurrency,
                repeat=repeat,
                seed=seed,
                retries=retries,
            )
            out = create_run(Path(out), manifest)
        if tasks is None and out is None:
            raise TypeError("tasks may be None only where a run is gone on with")
        stream = read_tasks(tasks) if tasks is not None else None
        with keeping(out, durability) as journal:
            assignments: Assignments
            if out is not None and journal is not None:
                check_tools(out, await self.prepare(agent))
                seed, retries = out.manifest.seed, out.manifest.retries
                assignments = take_up(out, journal, stream)
            else:
                assert stream is not None
                assignments = Repeated(stream, repeat)
            async with self.assigned(
                agent,
                assignments,
                concurrency=concurrency,
                seed=seed,
                retries=retries,
                sinks=sinks,
                grading=self.grading(Graders(judge, signals, judge_model, user_model)),
                repeat=repeat,
                journal=journal,
            ) as run:
                yield run

    @asynccontextmanager
    async def assigned(
        self,
        agent: Agent,
        assignments: Assignments,
        *,
        concurrency: int = 64,
        seed: int | None = None,
        retries: int = 0,
        sinks: Sequence[Sink] = (),
        grading: Grading = UNGRADED,
        repeat: int = 1,
        journal: Journal | None = None,
    ) -> AsyncIterator[Run]:
        """As `rollouts`, for work that comes from elsewhere than a source of tasks. `repeat` is
        how often each task comes, for the summary.
        """
        if concurrency < 1 or retries < 0:
            raise ValueError("concurrency is at least 1, retries at least 0")
        prepared = await self.prepare(agent)
        run = Run(
            prepared,
            assignments,
            self._hub,
            self._lag,
            concurrency=concurrency,
            seed=self._seed if seed is None else seed,
            retries=retries,
            sinks=sinks,
            grading=grading,
            repeat=repeat,
            journal=journal,
        )
        ref = self._runs.start(run)
        try:
            yield run
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
                await run.close()
                await ref.stop()

    def subscribe(self) -> AbstractContextManager[Feed]:
        """Events of the rollouts of runs that start from now on."""
        return self._hub.subscribe()

    def tree(self) -> str:
        """All actors, as text."""
        return self.system.tree()

    def statistics(self) -> dict[str, Any]:
        lag = self._lag.percentiles()
        return {
            "system": self.system.statistics(),
            "loop_lag": {"p50": lag.p50, "p95": lag.p95, "p99": lag.p99, "max": lag.max},
            "servers": {pool.name: pool.statistics() for pool in self._pools},
            "threads": {
                "busy": self._threads.borrowed_tokens,
                "total": self._threads.total_tokens,
            },
        }

    async def prepare(self, agent: Agent) -> Prepared:
        """Opens models and servers of an agent and of all below it, once for each runtime."""
        async with self._preparing:
            known = self._prepared.get(id(agent))
            if known is None:
                known = (agent, self._prepare(agent, {}, await self._open_servers(agent)))
                self._prepared[id(agent)] = known
            return known[1]

    def _prepare(
        self,
        agent: Agent,
        above: Mapping[str, ServerPool],
        opened: Mapping[int, Mapping[str, ServerPool]],
    ) -> Prepared:
        servers = {**above, **opened[id(agent)]}
        children = {child.name: self._prepare(child, servers, opened) for child in agent.agents}
        prepared = Prepared(agent, self._open_model(agent), children)
        pools = {
            tool.spec.name: self._open_function(agent, tool)
            for tool in agent.tools
            if isinstance(tool, PythonTool)
        }
        bind(prepared, agent, servers, pools)
        return prepared

    def grading(self, graders: Graders) -> Grading:
        """With the models opened. Raises `DefinitionError`."""
        if graders == Graders():
            return UNGRADED
        judge, user = graders.judge_model, graders.user_model
        return Grading(
            graders.judge,
            graders.signals,
            None if judge is None else self._open_policy("judge", judge, None),
            None if user is None else self._open_policy("user", user, None),
        )

    def _open_model(self, agent: Agent) -> PoolRef:
        base = agent.source.parent if agent.source is not None else None
        return self._open_policy(agent.name, agent.model, base)

    def _open_policy(self, name: str, model: AnyModel, base: Path | None) -> PoolRef:
        if isinstance(model, MODEL_CONFIGS):
            chance = random.Random(f"{self._seed}/{name}")
            model = open_model(model, base_dir=base, http=self._http, chance=chance)
            self._models.append(model)
        policy = model
        return self._model_pools.add_pool(name, lambda: PolicyActor(policy))

    def _open_function(self, agent: Agent, tool: PythonTool) -> PoolRef:
        name = f"{agent.name}.{tool.spec.name}"
        return self._tool_pools.add_pool(
            name, lambda: FunctionTool(tool, self._threads, self._overdue)
        )

    async def _open_servers(self, root: Agent) -> dict[int, dict[str, ServerPool]]:
        """The servers that `root` and all below it declare, by agent, started side by side."""
        opened: dict[int, dict[str, ServerPool]] = {}
        agents = [root]
        for agent in agents:
            if id(agent) in opened:
                continue
            agents += agent.agents
            base = agent.source.parent if agent.source is not None else None
            pools = opened[id(agent)] = {}
            for name, config in agent.mcp_servers.items():
                key = len(self._pools)
                pools[name] = ServerPool(
                    key, name, config, agent.supervision, base, self._http, self._seed, self._files
                )
                self._pools.append(pools[name])
        problems: list[ToolsUnavailable] = []

        async def start(pool: ServerPool) -> None:
            try:
                await pool.open(self._servers)
            except ToolsUnavailable as error:
                problems.append(error)

        async with anyio.create_task_group() as group:
            for pools in opened.values():
                for pool in pools.values():
                    group.start_soon(start, pool)
        if problems:
            raise problems[0]
        return opened

    async def _close(self) -> None:
        self._hub.close()
        for model in self._models:
            await model.aclose()
