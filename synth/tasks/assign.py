"""Flat gold plans for a tree of agents: each call goes to the agent that has the tool.

A branch of the tree is asked once for calls that follow each other. References stay references
inside one such delegation; what crosses agents is the value that was observed when the plan was
played, and the sub-agent is told every value that it needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import Agent, McpTools, Task
from nexau.models.gold import GoldPlan, PlannedCall, Unresolved, resolve, resolve_text
from nexau.prepare import seen_names
from nexau.synth.tasks.nouns import shown, spoken
from nexau.synth.worlds import engine
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.play import message_of
from nexau.synth.worlds.state import Template


class Unassignable(Exception):
    """A task that the tree cannot do; the text says why."""


class _Seat(Struct, frozen=True):
    """Where a tool is: the names of the agents from the root down to it, and what it is called."""

    path: tuple[str, ...]
    name: str


class Assigner:
    """Assigns the tasks of worlds to one tree of agents."""

    def __init__(
        self, world: World | Mapping[str, World], agent: Agent, server: str | None = None
    ) -> None:
        """`server` is the name under which the tree's agents know the world; None: the only one.
        Several worlds are given by such names.

        Raises `Unassignable` where that cannot be told.
        """
        if isinstance(world, World):
            names = {tools.server for tools in _mcp(agent)}
            if server is None and len(names) != 1:
                raise Unassignable(f"the agents use {len(names)} servers; which is the world?")
            world = {server if server is not None else next(iter(names)): world}
        self._templates = {name: Template(each) for name, each in world.items()}
        self._names = {each.name: name for name, each in world.items()}
        """Of servers, by the world's name."""
        self._called: dict[str, tuple[str, str]] = {}
        """Server and tool of the calls of the task at hand, by id."""
        self._seats: dict[tuple[str, str], _Seat] = {}
        self._seat(agent, {name: list(each.tools) for name, each in world.items()})

    def assign(self, task: Task) -> Task:
        """The task with its plan for the tree. Raises `Unassignable`."""
        if task.plan is None:
            raise Unassignable("the task has no plan")
        plan = msgspec.convert(task.plan, GoldPlan)
        calls = task.metadata.get("calls", {})
        self._called = {call: self._server_and_tool(said) for call, said in calls.items()}
        observed = self._observed(plan)
        first, *then = [self._part(part, observed) for part in plan.parts]
        made = first | ({"then": then} if then else {})
        servers = tuple(self._names.get(name, name) for name in task.servers)
        return replace(task, plan=made, servers=servers)

    def close(self) -> None:
        for template in self._templates.values():
            template.close()

    def _server_and_tool(self, said: str) -> tuple[str, str]:
        """Of `WORLD/TOOL`, with the server as the tree knows it."""
        world, _, tool = said.partition("/")
        server = self._names.get(world, world)
        if server not in self._templates:
            raise Unassignable(f"the tree has no server for {world}")
        return server, tool

    def _key(self, call: PlannedCall) -> tuple[str, str]:
        return self._called.get(call.id) or (next(iter(self._templates)), call.name)

    def _seat(self, agent: Agent, tools: Mapping[str, Sequence[str]]) -> None:
        """Shallow agents come first: who has a tool does not delegate it."""
        level: list[tuple[Agent, tuple[str, ...]]] = [(agent, ())]
        while level:
            for each, where in level:
                visible = [
                    (server, name, said)
                    for server, names in tools.items()
                    for name, said in _visible(each, server, names)
                ]
                taken = [child.name for child in each.agents]
                pairs = [(said, server) for server, _, said in visible]
                for (server, name, _), seen in zip(
                    visible, seen_names(pairs, tools, taken), strict=True
                ):
                    self._seats.setdefault((server, name), _Seat(where, seen))
            level = [(c, (*where, c.name)) for each, where in level for c in each.agents]

    def _observed(self, plan: GoldPlan) -> dict[str, Any]:
        """What each call brings back, as messages by id, when all parts are played in order."""
        states = {name: template.state() for name, template in self._templates.items()}
        results: dict[str, Any] = {}
        try:
            for turn in (turn for part in plan.parts for turn in part.turns):
                brought: dict[str, Any] = {}
                for planned in turn:
                    server, tool = self._key(planned)
                    answer = engine.call(states[server], tool, resolve(planned.arguments, results))
                    brought[planned.id] = message_of(planned.id, answer)
                results |= brought
        except Unresolved as error:
            raise Unassignable(f"the plan cannot be played: {error}") from None
        finally:
            for state in states.values():
                state.close()
        return results

    def _part(self, part: GoldPlan, observed: Mapping[str, Any]) -> dict[str, Any]:
        turns: list[list[dict[str, Any]]] = []
        for branch, calls in _runs(part, self._branch):
            if branch is None:
                turns += self._mixed(calls, observed)
            else:
                turns.append([self._delegated(branch, calls, observed)])
        answer = resolve_text(part.answer, observed)
        return {"turns": turns, "answer": answer.replace("{{", "{{{{")}

    def _branch(self, call: PlannedCall) -> str | None:
        return self._found(call).path[0] if self._found(call).path else None

    def _found(self, call: PlannedCall) -> _Seat:
        server, tool = self._key(call)
        seat = self._seats.get((server, tool))
        if seat is None:
            raise Unassignable(f"no agent of the tree has {tool}")
        return seat

    def _mixed(
        self, turns: Sequence[Sequence[PlannedCall]], observed: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        """Turns in which the root itself acts, beside what it delegates at the same time."""
        made: list[list[dict[str, Any]]] = []
        for turn in turns:
            calls: list[dict[str, Any]] = []
            branches: dict[str, list[PlannedCall]] = {}
            for call in turn:
                branch = self._branch(call)
                if branch is None:
                    calls.append(self._call(call, self._found(call).name, observed, frozenset()))
                else:
                    branches.setdefault(branch, []).append(call)
            calls += [self._delegated(b, [each], observed) for b, each in branches.items()]
            made.append(calls)
        return made

    def _delegated(
        self,
        branch: str,
        turns: Sequence[Sequence[PlannedCall]],
        observed: Mapping[str, Any],
        depth: int = 0,
    ) -> dict[str, Any]:
        """One call of a sub-agent, with the plan that it plays and all that it is told."""
        inner: list[list[dict[str, Any]]] = []
        own = frozenset(
            call.id for turn in turns for call in turn if len(self._found(call).path) == depth + 1
        )
        for turn in turns:
            calls: list[dict[str, Any]] = []
            below: dict[str, list[PlannedCall]] = {}
            for call in turn:
                seat = self._found(call)
                if len(seat.path) == depth + 1:
                    calls.append(self._call(call, seat.name, observed, own))
                else:
                    below.setdefault(seat.path[depth + 1], []).append(call)
            calls += [self._delegated(b, [c], observed, depth + 1) for b, c in below.items()]
            inner.append(calls)
        flat = [call for turn in turns for call in turn]
        # What those below found is passed on: whoever asked has seen what it goes on with.
        brought = [call["id"] for calls in inner for call in calls if call.get("id")]
        told = " ".join(f"{{{{{each}}}}}" for each in brought)
        task = "; then ".join(self._told(call, observed) for call in flat)
        plan = {"turns": inner, "answer": told or "Done."}
        name = f"{flat[0].id}_{depth}" if flat[0].id else ""
        arguments = {"task": f"{task}."}
        return {
            **({"id": name} if name else {}),
            "name": branch,
            "arguments": arguments,
            "plan": plan,
        }

    def _call(
        self,
        call: PlannedCall,
        name: str,
        observed: Mapping[str, Any],
        own: frozenset[str],
    ) -> dict[str, Any]:
        arguments = {
            key: value if _within(value, own) else resolve(value, observed)
            for key, value in call.arguments.items()
        }
        return {"id": call.id, "name": name, "arguments": arguments}

    def _told(self, call: PlannedCall, observed: Mapping[str, Any]) -> str:
        words = spoken(self._key(call)[1])
        values = [f"{spoken(k)} {shown(resolve(v, observed))}" for k, v in call.arguments.items()]
        text = f"{words[0].upper()}{words[1:]}"
        return f"{text} with {', '.join(values)}" if values else text


def _within(value: Any, own: frozenset[str]) -> bool:
    """Whether a reference stays inside the delegation."""
    return isinstance(value, dict) and value.get("$result") in own


def _runs(
    part: GoldPlan, branch_of: Any
) -> Iterable[tuple[str | None, list[tuple[PlannedCall, ...]]]]:
    """Turns that go to one branch alone, put together while they follow each other."""
    found: list[tuple[str | None, list[tuple[PlannedCall, ...]]]] = []
    for turn in part.turns:
        branches = {branch_of(call) for call in turn}
        branch = branches.pop() if len(branches) == 1 else None
        if found and branch is not None and found[-1][0] == branch:
            found[-1][1].append(turn)
        else:
            found.append((branch, [turn]))
    return found


def _mcp(agent: Agent) -> Iterable[McpTools]:
    for tool in agent.tools:
        if isinstance(tool, McpTools):
            yield tool
    for child in agent.agents:
        yield from _mcp(child)


def _visible(agent: Agent, server: str, tools: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The world's tools that an agent has, each with the name under which it sees it."""
    for entry in agent.tools:
        if not isinstance(entry, McpTools) or entry.server != server:
            continue
        for name in tools:
            wanted = any(fnmatchcase(name, pattern) for pattern in entry.include)
            if wanted and not any(fnmatchcase(name, pattern) for pattern in entry.exclude):
                yield name, entry.prefix + name
