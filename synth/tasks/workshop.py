"""Where tasks are made: sources opened, outside servers surveyed, and every plan played at last
over MCP, on the servers that a rollout will use.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import Agent, Task
from nexau.runtime import Runtime, open_runtime
from nexau.sessions import Session
from nexau.synth.agents.catalog import read_catalog
from nexau.synth.tasks.generate import Generator, Made, Settings
from nexau.synth.tasks.judge import WorldJudge, exposed, worlds_of
from nexau.synth.tasks.live import Caller, LiveSource
from nexau.synth.tasks.sitting import Sources
from nexau.synth.tasks.source import Source, WorldSource
from nexau.synth.tasks.stands import Stand, agent_of, piped
from nexau.synth.worlds.reader import load_world
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Call, Result

BESIDE = 4
"""Plans that are played side by side."""
OVER_MCP = "the plan fails over MCP"


class Work(Struct, frozen=True):
    """All that tasks depend on."""

    stands: tuple[Stand, ...]
    settings: Settings
    folder: str
    """Relative paths of the agent start there."""
    allowed: tuple[str, ...] = ()
    """Tools of outside servers that may be called though they are not marked as reading: NAME, or
    SERVER/NAME.
    """
    skipped: tuple[str, ...] = ()
    """Tools that are never called, in the same way."""


class Workshop:
    """Made by `open_workshop`."""

    def __init__(self, generator: Generator, runtime: Runtime, agent: Agent) -> None:
        self.generator = generator
        self.runtime = runtime
        self._agent = agent
        self._judge = WorldJudge(worlds_of(agent))

    async def make(self, first: int, end: int) -> list[Made]:
        """What became of the numbers from `first` to before `end`."""
        return await self.proved([await self.generator.make(each) for each in range(first, end)])

    async def proved(self, made: Sequence[Made]) -> list[Made]:
        """The same, without tasks whose plan does not get the whole reward on the servers."""
        tasks = {each.task.id: each.task for each in made if each.task is not None}
        faults: dict[str, str] = {}
        if tasks:
            async with self.runtime.rollouts(
                self._agent, list(tasks.values()), concurrency=BESIDE, judge=self._judge
            ) as run:
                async for played in run:
                    if played.reward != 1.0:
                        faults[played.task] = _why(played)
        return [_without(each, faults) for each in made]


def _without(made: Made, faults: Mapping[str, str]) -> Made:
    if made.task is None or made.task.id not in faults:
        return made
    reason = f"{OVER_MCP}: {faults[made.task.id]}"
    return Made(made.number, None, {**made.refused, reason: 1})


def _why(played: Trajectory) -> str:
    """A reason that is the same for the same kind of failure."""
    if played.error is not None:
        return f"{played.status}: {played.error.message[:120]}"
    if played.score is None:
        return played.unscored or "it could not be scored"
    low = [name for name, value in played.score.components.items() if value < 1.0]
    return ", ".join(low) or played.status


@asynccontextmanager
async def open_workshop(work: Work) -> AsyncIterator[Workshop]:
    """Raises `DefinitionError`, `ToolsUnavailable` for servers that cannot be had, and ValueError
    for sources of which nothing can be asked.
    """
    with ExitStack() as closing:
        async with open_runtime() as runtime:
            sources: list[Source] = []
            for stand in work.stands:
                if stand.world:
                    world = load_world(stand.world)
                    made = WorldSource(world, name=stand.name, seed=stand.seed, rows=stand.rows)
                    closing.callback(made.close)
                    sources.append(made)
                else:
                    sources.append(await _surveyed(runtime, stand, work))
            generator = Generator(Sources(sources), work.settings)
            agent = agent_of(work.stands, Path(work.folder))
            worlds = {stand.name for stand in work.stands if stand.world}
            servers = {
                name: piped(server) if name in worlds else server
                for name, server in agent.mcp_servers.items()
            }
            agent = exposed(replace(agent, mcp_servers=servers))
            yield Workshop(generator, runtime, agent)


async def _surveyed(runtime: Runtime, stand: Stand, work: Work) -> LiveSource:
    """An outside server, called for all that its tasks are made of, over two sessions."""
    tools = [tool for tool in read_catalog(Path(stand.catalog)).tools if tool.server == stand.name]
    agent = agent_of([stand], Path(work.folder))
    alone = {name: replace(each, sessions="rollout") for name, each in agent.mcp_servers.items()}
    (pool,) = (await runtime.prepare(replace(agent, mcp_servers=alone))).servers
    sessions = [await pool.acquire(), await pool.acquire()]
    try:
        source = LiveSource(
            stand.name,
            tools,
            [_caller(session) for session in sessions],
            allowed=frozenset(work.allowed),
            skipped=frozenset(work.skipped),
            seed=work.settings.seed,
        )
        await source.survey()
    except BaseException:
        for session in sessions:
            await pool.release(session)
        raise
    return source


def _caller(session: Session) -> Caller:
    count = 0

    async def call(tool: str, arguments: Mapping[str, Any]) -> Result:
        nonlocal count
        count += 1
        return await session.ask(Call(f"survey-{count}", tool, dict(arguments)), 0)

    return call


def encoded(made: Sequence[Made]) -> bytes:
    """For another process."""
    return msgspec.msgpack.encode(list(made))


_decoder = msgspec.msgpack.Decoder(list[Made])


def decoded(data: bytes) -> list[Made]:
    return _decoder.decode(data)


__all__ = ["OVER_MCP", "Task", "Work", "Workshop", "decoded", "encoded", "open_workshop"]
