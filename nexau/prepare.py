"""From definitions to what rollouts run: models opened, servers started, tools bound by name."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec

from nexau.actors import ActorStopped, Killed, PoolRef
from nexau.arguments import validator
from nexau.boundary import describe
from nexau.definitions.prompts import compile_prompt, render
from nexau.definitions.values import (
    Agent,
    DefinitionError,
    McpTools,
    OpenAIModel,
    PlanModel,
    Price,
    PythonTool,
)
from nexau.files.nearest import hint
from nexau.hearing import heard
from nexau.scope import Scope
from nexau.servers import ServerPool, ToolsUnavailable
from nexau.trajectory import AgentRecord, Served
from nexau.transports.log import get_logger
from nexau.transports.protocol import Call, Limits, Result, ToolSpec, failure
from nexau.transports.vetting import skeleton

log = get_logger("nexau.prepare")

Validator = Callable[[dict[str, Any]], str | None]

CALL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task": {
            "type": "string",
            "description": "What to do, with everything it needs to know: it sees nothing else.",
        }
    },
    "required": ["task"],
    "additionalProperties": False,
}


class Route(Protocol):
    """How a call reaches what answers it."""

    def send(self, scope: Scope, call: Call) -> Awaitable[Result]: ...

    def failed(self, call: Call, error: Exception) -> Result:
        """What the caller is told of an exception that came in place of an answer."""
        ...


class PythonRoute:
    __slots__ = ("pool", "timeout")

    def __init__(self, pool: PoolRef, timeout: float) -> None:
        self.pool = pool
        self.timeout = timeout

    def send(self, scope: Scope, call: Call) -> Awaitable[Result]:
        return self.pool.ask(call)

    def failed(self, call: Call, error: Exception) -> Result:
        if isinstance(error, ActorStopped) and isinstance(error.reason, Killed):
            text = f"{call.name} did not answer within {self.timeout:g} s"
            return failure(call.id, "timeout", text)
        return failure(call.id, "crashed", describe(error))


class McpRoute:
    """To the session that this rollout holds of a server, under the server's own tool name."""

    __slots__ = ("key", "name")

    def __init__(self, key: int, name: str) -> None:
        self.key = key
        self.name = name

    def send(self, scope: Scope, call: Call) -> Awaitable[Result]:
        if call.name != self.name:
            call = Call(call.id, self.name, call.arguments, call.limits, call.deadline, call.trace)
        session = scope.sessions[self.key]
        if scope.recorder.wants_events:
            return heard(scope, session, call)
        return session.ask(call, scope.seed)

    def failed(self, call: Call, error: Exception) -> Result:
        return failure(call.id, "crashed", describe(error))


class Prepared:
    """A definition bound to the actors that serve it. Shared by all rollouts of a runtime."""

    __slots__ = (
        "children",
        "fixed",
        "limits",
        "max_tokens",
        "model",
        "name",
        "narrow",
        "parallel_calls",
        "price",
        "prompt",
        "records",
        "servers",
        "specs",
        "tools",
        "validators",
    )

    def __init__(self, agent: Agent, model: PoolRef, children: Mapping[str, "Prepared"]) -> None:
        self.name = agent.name
        self.model = model
        self.children = children
        self.limits: Limits = agent.limits
        self.parallel_calls = agent.limits.parallel_calls
        self.price: Price | None = None
        self.max_tokens: int | None = None
        if isinstance(agent.model, OpenAIModel):
            self.price = agent.model.price
            self.max_tokens = agent.model.max_tokens
        self.prompt = agent.system_prompt
        self.fixed = compile_prompt(agent.system_prompt) is None
        self.tools: dict[str, Route] = {}
        self.validators: dict[str, Validator] = {}
        self.specs: tuple[ToolSpec, ...] = ()
        self.servers: tuple[ServerPool, ...] = ()
        """Of this agent and all below it, each once, by key."""
        self.records: tuple[AgentRecord, ...] = ()
        """Of this agent and all below it, one for each name."""
        self.narrow: dict[tuple[str, ...], Prepared] = {}
        """With some of the servers only, by their names."""

    def narrowed(self, names: tuple[str, ...]) -> "Prepared":
        """As an agent that has none but these servers. Raises `DefinitionError` for one that
        neither it nor an agent below it has.
        """
        found = self.narrow.get(names)
        if found is None:
            if len(self.narrow) >= MAX_NARROW:
                self.narrow.clear()
            found = self.narrow[names] = _narrowed(self, names)
        return found

    def system_prompt(self, task: str, variables: Mapping[str, Any]) -> str:
        """Raises `DefinitionError`."""
        return self.prompt.text if self.fixed else render(self.prompt, task, variables)


MAX_NARROW = 1_000
"""Sets of servers for which an agent is kept."""


def _narrowed(prepared: Prepared, names: tuple[str, ...]) -> Prepared:
    known = {pool.name: pool for pool in prepared.servers}
    for name in names:
        if name not in known:
            raise DefinitionError(f"no server {name!r}{hint(name, known, 'the agent has')}")
    return _kept(prepared, frozenset(known[name].key for name in names))


def _kept(prepared: Prepared, keys: frozenset[int]) -> Prepared:
    """The agent, and all below it, with the servers of these keys."""
    made = copy(prepared)
    made.narrow = {}
    made.children = {name: _kept(child, keys) for name, child in prepared.children.items()}
    made.servers = tuple(pool for pool in prepared.servers if pool.key in keys)
    made.tools = {
        name: route
        for name, route in prepared.tools.items()
        if not isinstance(route, McpRoute) or route.key in keys
    }
    made.specs = tuple(
        spec for spec in prepared.specs if spec.name in made.tools or spec.name in made.children
    )
    made.validators = {spec.name: prepared.validators[spec.name] for spec in made.specs}
    own = prepared.records[0]
    served = {name: each for name, each in own.served.items() if name in made.tools}
    tools = msgspec.Raw(msgspec.json.encode(made.specs))
    records = {own.name: AgentRecord(own.name, own.model, tools, served)}
    for below in made.children.values():
        records |= {record.name: record for record in below.records if record.name not in records}
    made.records = tuple(records.values())
    return made


def bind(
    prepared: Prepared,
    agent: Agent,
    servers: Mapping[str, ServerPool],
    pools: Mapping[str, PoolRef],
) -> None:
    """Gives an agent its tools by name. `servers` and `pools` are by the name the agent uses.

    Raises `ToolsUnavailable` for an included name that a server does not have, and
    `DefinitionError` for two callees of one name.
    """
    specs: dict[str, ToolSpec] = {}
    for child in agent.agents:
        _add(specs, agent, ToolSpec(child.name, child.description, CALL_SCHEMA))
    for tool in agent.tools:
        if isinstance(tool, PythonTool):
            _add(specs, agent, tool.spec)
            prepared.tools[tool.spec.name] = PythonRoute(pools[tool.spec.name], tool.timeout)
    served: dict[str, Served] = {}
    by_key = {pool.key: pool for pool in servers.values()}
    for name, spec, route in _mcp_tools(agent, servers, taken=frozenset(specs)):
        _add(specs, agent, msgspec.structs.replace(spec, name=name))
        prepared.tools[name] = route
        served[name] = by_key[route.key].served
    prepared.specs = tuple(specs.values())
    for spec in prepared.specs:
        prepared.validators[spec.name] = _validator(spec)
    tools = msgspec.Raw(msgspec.json.encode(prepared.specs))
    records = {agent.name: AgentRecord(agent.name, model_label(agent), tools, served)}
    for below in prepared.children.values():
        records |= {record.name: record for record in below.records if record.name not in records}
    prepared.records = tuple(records.values())
    own = {tool.server for tool in agent.tools if isinstance(tool, McpTools)}
    used = {servers[name].key: servers[name] for name in own}
    for below in prepared.children.values():
        used |= {pool.key: pool for pool in below.servers}
    prepared.servers = tuple(used[key] for key in sorted(used))


def model_label(agent: Agent) -> str:
    model = agent.model
    if isinstance(model, OpenAIModel):
        return model.name
    if isinstance(model, PlanModel) and (model.mix or model.style != "gold"):
        return f"plan:{'mix' if model.mix else model.style}"
    if isinstance(model, msgspec.Struct):
        return str(model.__struct_config__.tag)
    return type(model).__name__


def _add(specs: dict[str, ToolSpec], agent: Agent, spec: ToolSpec) -> None:
    if spec.name in specs:
        raise DefinitionError(f"agent {agent.name!r} has two tools or sub-agents {spec.name!r}")
    specs[spec.name] = spec


def _mcp_tools(
    agent: Agent, servers: Mapping[str, ServerPool], taken: frozenset[str]
) -> Iterable[tuple[str, ToolSpec, McpRoute]]:
    """Each MCP tool under the name that the agent sees."""
    found: list[tuple[str, str, ToolSpec, McpRoute]] = []
    for entry in agent.tools:
        if isinstance(entry, McpTools):
            pool = servers[entry.server]
            found += [
                (entry.prefix + spec.name, entry.server, spec, McpRoute(pool.key, spec.name))
                for spec in _chosen(agent, entry, pool)
            ]
    names = seen_names([(name, server) for name, server, *_ in found], servers, taken)
    for seen, (_, _, spec, route) in zip(names, found, strict=True):
        yield seen, spec, route


def seen_names(
    tools: Sequence[tuple[str, str]], servers: Iterable[str], taken: Iterable[str] = ()
) -> list[str]:
    """The name under which an agent sees each tool, of pairs of its name and its server. Those that
    clash, with one another or with `taken`, or could be taken for another server's, get their
    server's name before them.
    """
    alike = Counter(skeleton(name) for name in (*taken, *(name for name, _ in tools)))
    by_skeleton = {skeleton(server): server for server in servers}
    seen: list[str] = []
    for name, server in tools:
        others = {begun for begun, other in by_skeleton.items() if other != server}
        clash = alike[skeleton(name)] > 1 or _poses(name, others)
        seen.append(f"{server}_{name}" if clash else name)
    return seen


def _poses(name: str, others: Collection[str]) -> bool:
    """Whether a tool has the name that one of another server would get in a clash."""
    return any(skeleton(name[:at]) in others for at, mark in enumerate(name) if mark in "_.-/:")


def _chosen(agent: Agent, entry: McpTools, pool: ServerPool) -> list[ToolSpec]:
    names = [spec.name for spec in pool.tools]
    for pattern in (*entry.include, *entry.exclude):
        plain = not any(mark in pattern for mark in "*?[")
        if plain and pattern not in names:
            raise ToolsUnavailable(
                f"agent {agent.name!r}: server {entry.server!r} has no tool {pattern!r}"
                f"{hint(pattern, names, 'its tools')}"
            )
    return [
        spec
        for spec in pool.tools
        if any(fnmatchcase(spec.name, pattern) for pattern in entry.include)
        and not any(fnmatchcase(spec.name, pattern) for pattern in entry.exclude)
    ]


def _validator(spec: ToolSpec) -> Validator:
    try:
        return validator(spec).validate
    except DefinitionError as error:
        # An outside server's faulty schema is the server's to enforce.
        log.warning("schema not usable; arguments go unchecked", tool=spec.name, reason=str(error))
        return lambda arguments: None
