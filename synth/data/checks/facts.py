"""What the checks look at: a trajectory taken apart once.

Everything that several checks need is worked out here, lazily where few of them do. Tools and their
compiled schemas are kept between trajectories, by the text of the agents' records.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from nexau.arguments import ArgumentValidator, validator
from nexau.definitions.values import DefinitionError
from nexau.models.base import SystemMessage, ToolCall, UserMessage
from nexau.synth.data.convert import definition_of
from nexau.trajectory import AgentRecord, CallResult, Step, Trajectory
from nexau.transports.protocol import Resource, Text, ToolSpec

_KEPT = 512
_encode_lines = msgspec.json.Encoder().encode_lines
_READS = ("get", "list", "find", "search", "read", "look", "lookup", "count", "show", "describe",
          "fetch", "query", "check", "view", "view", "browse", "compare", "calculate", "convert",
          "summarize", "echo", "spending", "current")  # fmt: skip
_DESTROYS = re.compile(r"(?:^|_)(?:delete|drop|remove|wipe|purge|destroy|truncate|erase)(?:_|$)")
_ID_NAMES = ("id", "path", "email", "url", "uri", "filename", "filepath")


class Limits(Struct, frozen=True):
    """What the checks are told from outside."""

    context: int = 131_072
    """Tokens that the model's context holds."""
    depth: int = 8
    """Levels of sub-agents below the root."""
    templates: frozenset[str] = frozenset()
    """Sentences of generators, normalised by `grams8`'s words, that no prompt may hold."""


class Tool(Struct, frozen=True):
    spec: ToolSpec
    validator: ArgumentValidator | None
    """None where the schema cannot be compiled."""
    writes: bool
    """By MCP's hints; without them, unless its name begins as one that reads."""
    certain: bool
    """Whether the hints said so."""
    identifiers: tuple[str, ...]
    """Required arguments that name something: `*_id`, path, email, URL."""
    constants: frozenset[str]
    """Texts of enums, defaults, constants and examples in the schema."""
    delegates: bool
    """Whether it is a sub-agent."""
    destroys: bool
    """By its name, unless a hint says otherwise."""


class Made(Struct, frozen=True, gc=False):
    """One call with its result."""

    step: Step
    order: int
    """Of the call in its agent's conversation, from 0."""
    call: ToolCall
    result: CallResult | None
    tool: Tool | None
    key: tuple[str, bytes]
    """Name and arguments, to compare calls by."""
    said: str
    """What the result said, as text; empty where there is none."""
    wrote: bool
    """Whether a tool that writes has succeeded."""


class Context:
    """One agent's conversation."""

    __slots__ = ("calls", "definition", "ids", "paired", "path", "prompts", "steps", "tools",
                 "users")  # fmt: skip

    def __init__(self, path: str, definition: str, tools: dict[str, Tool] | None) -> None:
        self.path = path
        self.definition = definition
        self.tools = tools
        """None where the trajectory does not say."""
        self.steps: list[Step] = []
        self.calls: list[Made] = []
        self.ids: list[str] = []
        """Of the calls."""
        self.paired = True
        """Whether each step has the results of its calls, in their order, and no others."""
        self.prompts: list[str] = []
        """System prompts."""
        self.users: list[str] = []


class Facts:
    """One trajectory."""

    def __init__(self, trajectory: Trajectory, tools: "ToolBook", limits: Limits) -> None:
        self.trajectory = trajectory
        self.limits = limits
        self.contexts: dict[str, Context] = {}
        self.prompted: list[Step] = []
        """Steps into whose prompt something came."""
        self.spoken: list[Step] = []
        """Steps with a text of the model."""
        self.parsed = True
        """Whether the arguments of every call are a JSON object."""
        self.destroyed = False
        """Whether a tool that destroys, by its name, has succeeded."""
        self.delegated = False
        """Whether a sub-agent has answered a call."""
        known = tools.of(trajectory.agents)
        # One encoding of all arguments, a line each: compact JSON has no newlines.
        encoded = _encode_lines([c.arguments for s in trajectory.steps for c in s.calls])
        self._arguments = encoded
        lines = iter(encoded.split(b"\n"))
        for step in trajectory.steps:
            context = self.contexts.get(step.agent)
            if context is None:
                name = definition_of(step.agent, trajectory.agent)
                context = self.contexts[step.agent] = Context(step.agent, name, known.get(name))
            context.steps.append(step)
            if step.prompt:
                self._prompted(step, context)
            if step.response:
                self.spoken.append(step)
            if step.calls:
                self._called(step, context, lines)
            elif step.results:
                context.paired = False

    def _prompted(self, step: Step, context: Context) -> None:
        self.prompted.append(step)
        for message in step.prompt:
            if isinstance(message, UserMessage):
                context.users.append(message.content)
            elif isinstance(message, SystemMessage):
                context.prompts.append(message.content)

    def _called(self, step: Step, context: Context, lines: Iterator[bytes]) -> None:
        calls, results = step.calls, step.results
        made = context.calls
        table = context.tools
        by_id: dict[str, CallResult] | None = None
        if len(calls) != 1 or len(results) != 1 or calls[0].id != results[0].call_id:
            by_id = {result.call_id: result for result in results}
            if [call.id for call in calls] != [result.call_id for result in results]:
                context.paired = False
        for call in calls:
            result = results[0] if by_id is None else by_id.get(call.id)
            name = call.name
            tool = table.get(name) if table is not None else None
            if call.arguments is None:
                self.parsed = False
            said, wrote = "", False
            if result is not None:
                content = result.content
                if len(content) == 1 and type(content[0]) is Text:
                    said = content[0].text
                else:
                    said = observed(result)
                self.delegated |= result.agent is not None
                if tool is not None and tool.writes and not result.is_error:
                    wrote = True
                    self.destroyed |= tool.destroys
            context.ids.append(call.id)
            made.append(Made(step, len(made), call, result, tool, (name, next(lines)), said, wrote))

    @cached_property
    def root(self) -> Context | None:
        return self.contexts.get("root")

    @cached_property
    def answer(self) -> str:
        """The final answer, as the rollout gave it."""
        return self.trajectory.answer or ""

    @cached_property
    def asked(self) -> str:
        """All that the user said."""
        said = [self.trajectory.input]
        if self.root is not None:
            said += self.root.users
        return "\n".join(said)

    @cached_property
    def observations(self) -> list[str]:
        """The texts of all results, of every agent."""
        return [
            made.said
            for context in self.contexts.values()
            for made in context.calls
            if made.result is not None
        ]

    @cached_property
    def seen(self) -> str:
        """The user's words, the prompts and every observation."""
        parts = [self.asked, *self.observations]
        for context in self.contexts.values():
            parts += context.prompts
        return "\n".join(parts)

    @cached_property
    def arguments(self) -> str:
        """The arguments of all calls as JSON: quick to have, to look for marks in."""
        return self._arguments.decode()

    @cached_property
    def arguments_lower(self) -> str:
        return self.arguments.lower()

    @cached_property
    def argued(self) -> str:
        """Every text and number in the arguments of calls, one a line."""
        found: list[str] = []
        for context in self.contexts.values():
            for made in context.calls:
                for value in (made.call.arguments or {}).values():
                    if type(value) is str:
                        found.append(value)
                    else:
                        found += [str(each) for each in leaves(value)]
        return "\n".join(found)

    @cached_property
    def everything(self) -> str:
        """All texts that somebody wrote: prompts, words, arguments, results."""
        parts = [self.seen, self.argued]
        for context in self.contexts.values():
            parts += context.users
            parts += [step.response for step in context.steps]
        return "\n".join(parts)

    @cached_property
    def written(self) -> bool:
        """Whether a call that changes something has succeeded, anywhere in the tree."""
        return any(
            made.tool is None or (made.tool.writes and not made.tool.delegates)
            for context in self.contexts.values()
            for made in context.calls
            if made.result is not None and not made.result.is_error
        )

    def calls(self) -> Iterator[tuple[Context, Made]]:
        for context in self.contexts.values():
            for made in context.calls:
                yield context, made


class ToolBook:
    """Tools of definitions, compiled once for each text."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], dict[str, dict[str, Tool]]] = {}
        self._decoder = msgspec.json.Decoder(list[ToolSpec])

    def of(self, agents: tuple[AgentRecord, ...]) -> dict[str, dict[str, Tool]]:
        """By definition, then by name."""
        key = tuple([bytes(record.tools) for record in agents])
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = self._compile(agents)
        return found

    def _compile(self, agents: tuple[AgentRecord, ...]) -> dict[str, dict[str, Tool]]:
        names = {record.name for record in agents}
        made: dict[str, dict[str, Tool]] = {}
        for record in agents:
            try:
                specs = self._decoder.decode(record.tools)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            made[record.name] = {spec.name: tool_of(spec, names) for spec in specs}
        return made


def tool_of(spec: ToolSpec, agents: set[str]) -> Tool:
    hint = spec.annotations.get("readOnlyHint")
    words = spec.name.lower().replace("-", "_").split("_")
    writes = not hint if isinstance(hint, bool) else not any(word in _READS for word in words)
    try:
        compiled: ArgumentValidator | None = validator(spec)
    except DefinitionError:
        compiled = None
    constants: set[str] = set()
    _constants(spec.parameters, constants)
    required = spec.parameters.get("required") or ()
    return Tool(
        spec,
        compiled,
        writes,
        isinstance(hint, bool),
        tuple(name for name in required if isinstance(name, str) and names_something(name)),
        frozenset(constants),
        spec.name in agents,
        spec.annotations.get("destructiveHint") is not False
        and _DESTROYS.search(spec.name.lower()) is not None,
    )


def names_something(argument: str) -> bool:
    """Whether an argument of this name identifies a thing that has to exist."""
    last = argument.lower().rpartition("_")[2]
    return last in _ID_NAMES


def _constants(schema: Any, found: set[str]) -> None:
    if isinstance(schema, list):
        for each in schema:
            _constants(each, found)
        return
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in ("enum", "examples") and isinstance(value, list):
            found.update(map(plain, value))
        elif key in ("default", "const"):
            found.add(plain(value))
        else:
            _constants(value, found)


def plain(value: Any) -> str:
    """As text, to look for in other texts."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def observed(result: CallResult) -> str:
    """What a result said, as text."""
    content = result.content
    if len(content) == 1 and type(content[0]) is Text:
        return content[0].text
    if not content and result.structured is not None:
        return msgspec.json.encode(result.structured).decode()
    return "\n".join(
        part.text
        if isinstance(part, Text)
        else (part.resource.text or "")
        if isinstance(part, Resource)
        else ""
        for part in content
    )


def leaves(value: Any) -> Iterator[Any]:
    """Strings and numbers inside of JSON; no booleans, no null."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    elif value is not None and not isinstance(value, bool):
        yield value


def placed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves with their JSON Pointers."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from placed(each, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from placed(each, f"{path}/{index}")
    elif value is not None and not isinstance(value, bool):
        yield path, value
