"""An outside MCP server as a source of tasks: its real answers, and what can be asked of them.

Nothing is known of such a server but its tools' schemas and what it says. So it is surveyed first:
tools that only read, or that the user allowed, are called with arguments that their schemas admit,
then with what earlier calls brought back. Each call is made three times, on two
sessions; a tool that answers differently carries no fact. The survey is the same for the same
server and seed, and tasks are made of its calls.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import anyio
import msgspec
from msgspec.structs import replace

from nexau.arguments import validator
from nexau.definitions.values import DefinitionError
from nexau.synth.agents.catalog import CatalogTool
from nexau.synth.lineage import content_id
from nexau.synth.streams import stream
from nexau.synth.tasks import goals
from nexau.synth.tasks.building import Unusable
from nexau.synth.tasks.madearguments import drawn
from nexau.synth.tasks.nouns import singular, spoken
from nexau.synth.tasks.sitting import Sitting
from nexau.synth.tasks.source import Session, Shape
from nexau.synth.tasks.structs import Attempt, Leaf, Param, Reply, Tool
from nexau.transports.protocol import Result, Text, ToolSpec

CALLS = 10
"""Sets of arguments that a survey tries on each tool, before and again after results are known."""
SLOW_SECONDS = 30.0
"""For all three calls; a tool that takes longer is not asked again."""
SLOW, UNSTABLE = "slow", "unstable"
MAX_LEAVES = 2_000
MAX_BYTES = 200_000
"""Of a result that tasks are made of."""

Caller = Callable[[str, Mapping[str, Any]], Awaitable[Result]]
Twice = Sequence[Caller]
"""Two ways to the server, which should see the same."""


class LiveSource:
    """One outside server. `survey` it before anything is asked of it."""

    live = True

    def __init__(
        self,
        name: str,
        tools: Sequence[CatalogTool],
        callers: Twice,
        *,
        allowed: frozenset[str] = frozenset(),
        skipped: frozenset[str] = frozenset(),
        seed: int = 0,
    ) -> None:
        """`allowed` are names of tools that may be called though they are not marked as reading;
        those that are `skipped` are never called.
        """
        self.name = name
        self.domain = name
        usable = [
            tool
            for tool in tools
            if is_usable(tool, allowed) and not {tool.name, tool.key} & skipped
        ]
        self.identity = content_id("server", [name, [msgspec.to_builtins(t) for t in usable]])
        self.tools: Mapping[str, Tool] = {tool.name: _tool(name, tool) for tool in usable}
        self._schemas = {tool.name: tool for tool in usable}
        self._callers = callers
        self._seed = seed
        self._known: dict[str, list[Attempt]] = {}
        self._looked: dict[bytes, Reply] = {}
        self.unstable: set[str] = set()
        """Tools that gave different answers to the same call, or none in time."""

    async def survey(self) -> None:
        """Calls the server. Raises what calling raises."""
        names = sorted(self.tools)
        self._known = {name: [] for name in names}
        for name in names:
            chance = stream(self._seed, "survey", self.name, name)
            for _ in range(CALLS):
                await self._try(name, drawn(self._schemas[name].input, chance), {})
        gathered = [each for name in names for each in self._known[name]]
        for name in names:
            chance = stream(self._seed, "links", self.name, name)
            for links in self._linked(self.tools[name], gathered, chance):
                given = drawn(self._schemas[name].input, chance)
                await self._try(name, given, links)
        self._known = {
            name: [each for each in attempts if self._is_stable(each)]
            for name, attempts in self._known.items()
        }

    def _is_stable(self, attempt: Attempt) -> bool:
        needed = [each for each, _ in attempt.links.values()]
        return attempt.tool.name not in self.unstable and all(map(self._is_stable, needed))

    async def _try(
        self,
        name: str,
        arguments: dict[str, Any] | None,
        links: dict[str, tuple[Attempt, str]],
    ) -> None:
        if arguments is None or name in self.unstable:
            return
        for param, (attempt, pointer) in links.items():
            arguments[param] = _at(attempt.reply, pointer)
        check = _checker(self._schemas[name])
        if check(arguments) is not None:
            return
        if any(each.arguments == arguments for each in self._known[name]):
            return
        reply = await self.look(name, arguments)
        if not reply.error and reply.leaves:
            self._known[name].append(Attempt(self.tools[name], arguments, reply, links))

    def _linked(
        self, tool: Tool, gathered: Sequence[Attempt], chance: Random
    ) -> list[dict[str, tuple[Attempt, str]]]:
        """Ways to give one parameter what another tool's call brought back."""
        found: list[dict[str, tuple[Attempt, str]]] = []
        for param in tool.params:
            if param.values or param.kind not in ("string", "integer", "number"):
                continue
            fits = [
                (attempt, leaf.pointer)
                for attempt in gathered
                if attempt.tool.name != tool.name
                for leaf in attempt.reply.leaves
                if leaf.pointer and _fits(param, leaf, attempt.tool)
            ]
            found += [{param.name: each} for each in chance.sample(fits, min(len(fits), CALLS))]
        return found

    def types(self) -> list[tuple[str, ...]]:
        """Leaves of the tree: domain, noun, kind, tool."""
        found: list[tuple[str, ...]] = []
        for name, attempts in self._known.items():
            tool = self.tools[name]
            path = (self.domain, tool.noun or "general")
            if not attempts:
                continue
            found.append((*path, "look", tool.shown))
            if any(goals.rows_of(each.reply) for each in attempts):
                found += [(*path, kind, tool.shown) for kind in ("count", "most")]
            numbers = [
                each for each in attempts if any(map(goals.numeric, goals.plain(each.reply)))
            ]
            if len(numbers) > 1:
                found += [(*path, kind, tool.shown) for kind in ("compare", "total")]
        return found

    async def look(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """Raises `Unusable` for a tool that answers differently when it is asked again."""
        key = msgspec.json.encode([tool, sorted(arguments.items())])
        found = self._looked.get(key)
        if found is None:
            found = await self._asked(tool, arguments)
            if found.error in (SLOW, UNSTABLE):
                self.unstable.add(tool)
            self._looked[key] = found
        return found

    async def _asked(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """The answer, where it is the same on each way to the server, and again on the first."""
        first, *others = self._callers
        with anyio.move_on_after(SLOW_SECONDS):
            found = reply_of(await first(tool, arguments))
            for call in (*others, first):
                again = reply_of(await call(tool, arguments))
                if (again.body, again.error) != (found.body, found.error):
                    return Reply(None, (), UNSTABLE, "the answer changes from call to call")
            return found
        return Reply(None, (), SLOW, f"no answer within {SLOW_SECONDS:g} s")

    def shape(self, tool: str) -> Shape:
        replies = [each.reply for each in self._known.get(tool, ())]
        names = frozenset(leaf.name for reply in replies for leaf in goals.plain(reply))
        return Shape(names, any(goals.rows_of(reply) for reply in replies))

    def open(self) -> Session:
        raise Unusable("an outside server is only read")

    async def succeed(
        self,
        session: Sitting,
        tool: Tool,
        chance: Random,
        known: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> Attempt | None:
        """One of the survey's calls, of this desk's tool; with `fixed`, made anew."""
        attempts = self._known.get(tool.name)
        if not attempts:
            return None
        found = chance.choice(attempts)
        if not fixed:
            return self._seen(found)
        arguments = {**found.arguments, **fixed}
        if _checker(self._schemas[tool.name])(arguments) is not None:
            return None
        reply = await session.call(tool, arguments)
        links = {name: link for name, link in found.links.items() if name not in fixed}
        made = Attempt(tool, arguments, reply, links)
        return None if reply.error else self._seen(made)

    def _seen(self, attempt: Attempt) -> Attempt:
        """With tools as agents see them, which was not known when the survey was made."""
        links = {name: (self._seen(each), at) for name, (each, at) in attempt.links.items()}
        return replace(attempt, tool=self.tools[attempt.tool.name], links=links)

    async def refused(self, session: Sitting, tool: Tool, chance: Random) -> Attempt | None:
        """Its rules are not known."""
        return None

    def close(self) -> None:
        """Its sessions are whose who made it."""


def is_usable(tool: CatalogTool, allowed: frozenset[str]) -> bool:
    """Whether it may be called: by the server's own word, or by the user's."""
    named = tool.name in allowed or tool.key in allowed
    return named or tool.annotations.get("readOnlyHint") is True


def reply_of(result: Result) -> Reply:
    """What an outside server answered, its leaves named; a text that is JSON is read as such."""
    if result.is_error:
        text = " ".join(part.text for part in result.content if isinstance(part, Text))
        return Reply(text, (), result.error_class or "tool_error", text[:500])
    if result.structured is not None:
        body = result.structured
    else:
        texts = [part.text for part in result.content if isinstance(part, Text)]
        if len(texts) != len(result.content) or len(texts) != 1:
            return Reply(None)
        body = _read(texts[0])
    if len(msgspec.json.encode(body)) > MAX_BYTES:
        return Reply(None)
    return Reply(body, tuple(_leaves(body)))


def _read(text: str) -> Any:
    if text[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
    return text


def _leaves(body: Any) -> list[Leaf]:
    if isinstance(body, str):
        return [Leaf("", "text", body)] if body.strip() else []
    found: list[Leaf] = []
    todo: list[tuple[str, str, Any]] = [("", "value", body)]
    while todo and len(found) < MAX_LEAVES:
        at, name, value = todo.pop(0)
        if isinstance(value, dict):
            todo += [(f"{at}/{_escaped(key)}", key, each) for key, each in value.items()]
        elif isinstance(value, list):
            todo += [(f"{at}/{index}", name, each) for index, each in enumerate(value)]
        elif value is not None and at:
            found.append(Leaf(at, name, value))
    return found


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _at(reply: Reply, pointer: str) -> Any:
    return next(leaf.value for leaf in reply.leaves if leaf.pointer == pointer)


def _checker(tool: CatalogTool) -> Callable[[dict[str, Any]], str | None]:
    try:
        return validator(ToolSpec(tool.name, "", tool.input)).validate
    except DefinitionError as error:
        text = str(error)
        return lambda _: text


def _fits(param: Param, leaf: Leaf, tool: Tool) -> bool:
    """Whether a value could be what the parameter means: one name, or the id of its noun."""
    alike = isinstance(leaf.value, str) if param.kind == "string" else _is_number(leaf.value)
    if not alike or leaf.value == "":
        return False
    mine, its = param.name.casefold(), leaf.name.casefold()
    if mine == its:
        return True
    return its in ("id", "key", "name") and mine in (f"{tool.noun}_{its}", f"{tool.noun}{its}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tool(server: str, tool: CatalogTool) -> Tool:
    required = set(tool.input.get("required") or ())
    params = tuple(
        Param(name, name in required, schema if isinstance(schema, dict) else {})
        for name, schema in (tool.input.get("properties") or {}).items()
    )
    words = spoken(tool.name).split()
    noun = singular("_".join(words[1:] or words))
    return Tool(server, tool.name, tool.description or tool.title, True, params, noun)
