"""Smoke rollouts: every agent of a hierarchy is reached, on the servers that it will really use.

Hierarchies are run in batches, each one the sub-agent of an agent made for the purpose, so that a
server is started once for a batch and not once for each, with one session for all: only tools that
read are called. The model is `plan`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.agentfile import load_agent
from nexau.definitions.values import Agent, DefinitionError, HttpServer, PlanModel, Server, Task
from nexau.runtime import Runtime, open_runtime
from nexau.synth.agents.drafts import Draft, Smoke
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Limits

BROKEN = frozenset({"unknown_tool", "invalid_arguments", "unavailable", "protocol", "crashed"})
"""Errors of a call that speak against the hierarchy or its servers. That a tool refuses made-up
arguments does not."""
CONCURRENCY = 8
SECONDS = 120.0
"""For one hierarchy."""


class Smoked(Struct, frozen=True):
    """What came of one draft: the report, or why it is refused."""

    smoke: Smoke | None
    faults: tuple[str, ...] = ()


def is_local(server: Server) -> bool:
    """Whether the server runs on this machine, so that trying it costs nobody anything."""
    if not isinstance(server, HttpServer) or server.command is not None:
        return True
    host = server.url.partition("//")[2].partition("/")[0].rpartition(":")[0]
    return host in {"127.0.0.1", "localhost", "[::1]"}


async def smoke(
    folder: Path, drafts: Sequence[Draft], servers: Mapping[str, Server]
) -> list[Smoked]:
    """Runs the files of drafts that lie in `folder`; the answers are in their order. `servers` are
    those of the catalog, for `folder`.

    Raises `ToolsUnavailable` where a server cannot be started at all.
    """
    loaded: list[Agent | tuple[str, ...]] = []
    for draft in drafts:
        try:
            loaded.append(load_agent(folder / draft.record.file))
        except DefinitionError as error:
            loaded.append(tuple(f"it does not load: {line}" for line in str(error).splitlines()))
    agents = {
        f"h{place}": _plain(agent, f"h{place}")
        for place, agent in enumerate(loaded)
        if isinstance(agent, Agent)
    }
    used = {name for draft in drafts for name in draft.record.servers}
    if not agents:
        return [Smoked(None, each) for each in loaded if isinstance(each, tuple)]
    parent = Agent(
        "smoke",
        PlanModel(),
        agents=tuple(agents.values()),
        mcp_servers={name: _shared(servers[name]) for name in sorted(used)},
        source=folder / "agents" / "smoke.yaml",
    )
    async with open_runtime() as runtime:
        ran = await _run(runtime, parent, drafts, agents)
    return [
        _judge(draft, agents[f"h{place}"], ran.get(f"h{place}"))
        if f"h{place}" in agents
        else Smoked(None, tuple(map(str, loaded[place])))  # type: ignore[arg-type]
        for place, draft in enumerate(drafts)
    ]


def _shared(server: Server) -> Server:
    return replace(server, sessions="shared", reset=None)


def _plain(agent: Agent, name: str) -> Agent:
    """As the parent's sub-agent: its servers are the parent's, its model is the plan."""
    return _planned(replace(agent, name=name, mcp_servers={}))


def _planned(agent: Agent) -> Agent:
    agents = tuple(_planned(child) for child in agent.agents)
    limits = replace(agent.limits, tokens=None)
    return replace(agent, model=PlanModel(), agents=agents, limits=limits)


async def _run(
    runtime: Runtime, parent: Agent, drafts: Sequence[Draft], agents: Mapping[str, Agent]
) -> dict[str, Trajectory]:
    def tasks() -> Any:
        for place, draft in enumerate(drafts):
            name = f"h{place}"
            if name in agents:
                given = msgspec.json.decode(draft.task)
                call = {"name": name, "arguments": {"task": given["input"]}, "plan": given["plan"]}
                yield Task(given["input"], name, plan={"turns": [[call]], "answer": "done"})

    limited = replace(parent, limits=Limits(seconds=SECONDS))
    async with runtime.rollouts(limited, tasks(), concurrency=CONCURRENCY) as run:
        return {each.task: each async for each in run}


def _judge(draft: Draft, agent: Agent, trajectory: Trajectory | None) -> Smoked:
    if trajectory is None:
        return Smoked(None, ("smoke: the rollout did not end",))
    faults: list[str] = []
    if trajectory.status != "completed":
        why = trajectory.error.message if trajectory.error is not None else trajectory.limit
        faults.append(f"smoke: {trajectory.status}: {why}")
    reached = {step.agent.partition("/")[2] for step in trajectory.steps} - {""}
    leaves = list(_leaves(agent, f"{agent.name}#1"))
    faults += [f"smoke: {leaf.partition('/')[2]} was not reached" for leaf in leaves
               if leaf not in reached]  # fmt: skip
    calls = refused = 0
    for step in trajectory.steps:
        for call, result in zip(step.calls, step.results, strict=False):
            if result.error_class in BROKEN:
                text = getattr(result.content[0], "text", "") if result.content else ""
                faults.append(f"smoke: {call.name}: {result.error_class}: {text[:200]}")
            elif result.agent is None:
                calls += 1
                refused += result.is_error
    if faults:
        return Smoked(None, tuple(faults[:20]))
    return Smoked(Smoke(len(leaves), len(reached), calls, refused))


def _leaves(agent: Agent, path: str) -> Any:
    if not agent.agents:
        yield path
    for child in agent.agents:
        yield from _leaves(child, f"{path}/{child.name}#1")
