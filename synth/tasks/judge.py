"""Judges of tasks that carry a check: what the rollout left in its worlds, and what it answered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec
from mcp.shared.exceptions import MCPError
from msgspec.structs import replace

from nexau.definitions.values import Agent, DefinitionError, Server
from nexau.files.nearest import hint
from nexau.scoring.judging import Ended, Held, score_of
from nexau.synth.worlds.checks import AnswerForm, Check, CheckForm, compile_check
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.evaluate import Outcome, answer_findings, evaluate
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.state import Changes, State, Template, changes_of
from nexau.trajectory import Score

CHANGES = "world://changes"
EXPOSE = "--expose-state"
_WORLD_OPTIONS = ("--port", "--host", "--sessions", "--path", "--seed", "--rows", "--overlay")


class Served:
    """A world that a server of the agent serves, in its initial state."""

    def __init__(self, world: World, seed: int | None, rows: int | None) -> None:
        self.world = world
        self.template = Template(world, seed=seed, rows=rows)
        self.initial: State = self.template.state()
        self.checks: dict[bytes, Any] = {}
        """Compiled checks, by their JSON: repeats share one."""


class WorldsCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A check that is about several worlds: a state of each, and one answer."""

    worlds: dict[str, dict[str, Any]]
    """Checks without an answer, by the name of the world or of its server."""
    answer: AnswerForm | None = None


class WorldJudge:
    """A `Judge`: the check of a task against the final tables of its world, read over MCP.

    A check of the answer alone needs no world. Pickled, it is the paths of its worlds.
    """

    def __init__(self, worlds: Mapping[str, tuple[str, int | None, int | None]]) -> None:
        """World files, seeds and numbers of rows, by the name of the server that serves each.

        Raises `DefinitionError`.
        """
        self._files = dict(worlds)
        self._served = {
            name: Served(load_world(file), seed, rows)
            for name, (file, seed, rows) in self._files.items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return WorldJudge, (self._files,)

    async def judge(self, ended: Ended) -> Score | None:
        """Raises what reading the state raises: the server may be gone, or not expose it."""
        check = ended.task.check
        answer = ended.finished.answer or ""
        if check is None:
            return None
        if isinstance(check, dict) and "worlds" in check:
            return await self._many(ended, check, answer)
        name = self._server_of(ended)
        if name is None:
            return _answered(ended, check, answer)
        compiled, outcome = await self._outcome(ended, name, check, answer)
        components = {
            part: outcome.score(part)  # type: ignore[arg-type]
            for part, asked in (
                ("state", compiled.form.changes is not None or bool(compiled.expect)),
                ("answer", compiled.form.answer is not None),
            )
            if asked
        }
        return score_of(ended, components, tuple(outcome.failures()))

    async def _outcome(
        self, ended: Ended, name: str, check: Any, answer: str
    ) -> tuple[Check, Outcome]:
        """What a check finds in the world that a server serves."""
        served = self._served[name]
        compiled = self._compiled(served, check)
        changes: Mapping[str, Changes] = {}
        if compiled.form.changes is not None or compiled.expect or compiled.values:
            changes = await _read(served.world, ended.servers[name])
        after = served.template.state_after(changes) if changes else served.initial
        try:
            return compiled, evaluate(compiled, served.initial, after, answer, changes)
        finally:
            if after is not served.initial:
                after.close()

    async def _many(self, ended: Ended, check: dict[str, Any], answer: str) -> Score:
        """The final states of several worlds, and the answer."""
        try:
            form = msgspec.convert(check, WorldsCheck)
        except msgspec.ValidationError as error:
            raise DefinitionError(f"task {ended.task.id}: check: {error}") from None
        state, notes = 1.0, list[str]()
        for world, part in form.worlds.items():
            name = self._serving(ended, world)
            _, outcome = await self._outcome(ended, name, part, "")
            state *= outcome.score("state")
            notes += [f"{world}: {failure}" for failure in outcome.failures()]
        components = {"state": state}
        if form.answer is not None:
            findings = answer_findings(form.answer, answer)
            failures = [f"{each.wanted}: {each.evidence}" for each in findings if not each.passed]
            components["answer"] = float(not failures)
            notes += failures
        return score_of(ended, components, tuple(notes))

    def _serving(self, ended: Ended, world: str) -> str:
        """The server of the rollout that serves a world, by its name or the world's."""
        names = [name for name in ended.servers if name in self._served]
        for name in names:
            if world in (name, self._served[name].world.name):
                return name
        raise DefinitionError(
            f"task {ended.task.id}: its check is about the world {world!r}, which no server of the "
            f"agent serves{hint(world, names, 'worlds')}"
        )

    def _server_of(self, ended: Ended) -> str | None:
        """The server whose world the check is about: the only one, or the one the task names."""
        names = [name for name in ended.servers if name in self._served]
        if len(names) <= 1:
            return names[0] if names else None
        wanted = ended.task.metadata.get("servers") or []
        for name in names:
            if name in wanted or self._served[name].world.name in wanted:
                return name
        raise DefinitionError(
            f"task {ended.task.id}: which of {', '.join(names)} its check is about is not said; "
            "metadata.servers names it"
        )

    def _compiled(self, served: Served, check: Any) -> Any:
        key = msgspec.json.encode(check)
        found = served.checks.get(key)
        if found is None:
            if len(served.checks) >= 4096:
                served.checks.clear()
            found = served.checks[key] = compile_check(served.world, check)
        return found


def _answered(ended: Ended, check: Any, answer: str) -> Score:
    try:
        form = msgspec.convert(check, CheckForm)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"task {ended.task.id}: check: {error}") from None
    asked = form.answer or AnswerForm()
    if form.expect or form.changes is not None or asked.values:
        raise DefinitionError(
            f"task {ended.task.id}: its check is about a world, and none of the agent's servers "
            "is a `nexau world serve`"
        )
    findings = answer_findings(asked, answer)
    failures = [f"{each.wanted}: {each.evidence}" for each in findings if not each.passed]
    return score_of(ended, {"answer": float(not failures)}, tuple(failures))


async def _read(world: World, held: Held) -> Mapping[str, Changes]:
    if held.connection is None:
        raise anyio.BrokenResourceError("the session of the world is gone")
    try:
        result = await held.connection.session.read_resource(CHANGES)
    except MCPError as error:
        raise LookupError(f"{error}; `nexau world serve` needs --expose-state for checks") from None
    return changes_of(world, msgspec.json.decode(getattr(result.contents[0], "text", "{}")))


def worlds_of(agent: Agent) -> dict[str, tuple[str, int | None, int | None]]:
    """The worlds that servers of an agent's tree serve, with `nexau world serve FILE`."""
    found: dict[str, tuple[str, int | None, int | None]] = {}
    base = agent.source.parent if agent.source is not None else Path()
    for name, server in agent.mcp_servers.items():
        served = served_by(server, base)
        if served is not None:
            found[name] = served
    for child in agent.agents:
        found = {**worlds_of(child), **found}
    return found


def exposed(agent: Agent) -> Agent:
    """The agent, whose worlds let their state be read; agents themselves read no resources."""
    base = agent.source.parent if agent.source is not None else Path()
    servers = {
        name: replace(server, args=(*server.args, EXPOSE))
        if served_by(server, base) is not None and EXPOSE not in server.args
        else server
        for name, server in agent.mcp_servers.items()
    }
    children = tuple(map(exposed, agent.agents))
    return replace(agent, mcp_servers=servers, agents=children)


def served_by(server: Server, base: Path) -> tuple[str, int | None, int | None] | None:
    """The file, seed and rows of the world that a server serves; None for any other server."""
    arguments = list(server.args)
    for at in range(len(arguments) - 2):
        if arguments[at : at + 2] != ["world", "serve"]:
            continue
        options: dict[str, str] = {}
        files: list[str] = []
        rest = iter(arguments[at + 2 :])
        for each in rest:
            if each in _WORLD_OPTIONS:
                options[each] = next(rest, "")
            elif each.startswith("--"):
                key, _, value = each.partition("=")
                options[key] = value
            else:
                files.append(each)
        if files:
            folder = base / server.cwd if server.cwd else base
            return str(folder / files[0]), _number(options, "--seed"), _number(options, "--rows")
    return None


def _number(options: Mapping[str, str], name: str) -> int | None:
    value = options.get(name, "")
    return int(value) if value.isdecimal() else None
