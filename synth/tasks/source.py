"""What tasks are made over: tools that can really be called, on a state of one's own."""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from nexau.synth.lineage import content_id
from nexau.synth.tasks.structs import Leaf, Param, Reply, Tool
from nexau.synth.worlds.compiled import Column, Output, World
from nexau.synth.worlds.engine import call
from nexau.synth.worlds.state import Changes, Row, State, Template

MAX_LOOKED = 20_000
"""Reading calls of the initial state that are kept."""


class Session(Protocol):
    """A state of one's own behind the tools of a source."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply: ...

    def changes(self) -> Mapping[str, Changes]:
        """What differs from the initial state."""
        ...

    def close(self) -> None: ...


class Shape(Struct, frozen=True):
    """What the results of a tool have, as far as that is known."""

    fields: frozenset[str] = frozenset()
    """Names outside lists."""
    lists: bool = False


class Source(Protocol):
    """A server, or a world, of which tasks are made."""

    name: str
    domain: str
    """What it is about, in a word."""
    identity: str
    """Content id, for the lineage."""
    live: bool
    """Whether it is an outside server: nothing is known of it but what it answers."""
    tools: Mapping[str, Tool]
    """By the name that the server gives them."""

    def shape(self, tool: str) -> "Shape":
        """What the results of a tool have."""
        ...

    def open(self) -> Session:
        """A session in the initial state. To be closed."""
        ...

    async def look(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """A reading call in the initial state; the same call is made once."""
        ...


class WorldSource:
    """A world, called through its engine: the code that serves it, without the wire."""

    live = False

    def __init__(
        self,
        world: World,
        *,
        name: str | None = None,
        seed: int | None = None,
        rows: int | None = None,
    ) -> None:
        """`name` is that of the server which agents know it by; else the world's."""
        self.world = world
        self.name = world.name if name is None else name
        self.domain = next(iter(world.form.tags), world.name)
        self.identity = content_id("world", world.form)
        self.template = Template(world, seed=seed, rows=rows)
        self.tools: Mapping[str, Tool] = {
            each: _tool(world, each, self.name) for each in world.tools
        }
        self.writes = {
            each: frozenset(effect.entity for effect in tool.body.effects)
            for each, tool in world.tools.items()
        }
        """Entities that a tool can change."""
        self._initial = self.template.state()
        self._initial.keep()
        self._rows = {name: self._initial.rows(name) for name in world.entities}
        self._by_key = {
            name: {row[world.entities[name].shape.key]: row for row in rows}
            for name, rows in self._rows.items()
        }
        self._referring: dict[tuple[str, str], dict[Any, list[Row]]] = {}
        self._looked: dict[tuple[str, str], Reply] = {}

    def open(self) -> "WorldSession":
        return WorldSession(self, self.template.state())

    async def look(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        key = (tool, repr(sorted(arguments.items())))
        found = self._looked.get(key)
        if found is None:
            if len(self._looked) >= MAX_LOOKED:
                self._looked.clear()
            found = self._looked[key] = reply_of(self.world, self._initial, tool, arguments)
        return found

    def shape(self, tool: str) -> Shape:
        output = self.world.tools[tool].body.output
        columns = (*output.row_columns, *output.value_columns)
        names = frozenset(each.name for each in columns if not each.kind.entity)
        return Shape(names, output.find is not None or bool(output.lists))

    def rows(self, entity: str) -> list[Row]:
        """In the initial state, by key. Not to be changed."""
        return self._rows[entity]

    def raw(self, entity: str) -> list[tuple[Any, ...]]:
        """As SQLite gives them."""
        return self._initial.raw(entity)

    def row(self, entity: str, key: Any) -> Row | None:
        return self._by_key[entity].get(key)

    def referring(self, entity: str, field: str, key: Any) -> list[Row]:
        """The rows whose `field` is `key`."""
        found = self._referring.get((entity, field))
        if found is None:
            found = self._referring[entity, field] = {}
            for row in self._rows[entity]:
                found.setdefault(row[field], []).append(row)
        return found.get(key, [])

    @property
    def initial(self) -> State:
        return self._initial

    def close(self) -> None:
        self._initial.close()
        self.template.close()


class WorldSession:
    def __init__(self, source: WorldSource, state: State) -> None:
        self.source = source
        self.state = state
        self._touched: set[str] = set()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        reply = reply_of(self.source.world, self.state, tool, arguments)
        if not reply.error:
            self._touched |= self.source.writes[tool]
        return reply

    def changes(self) -> Mapping[str, Changes]:
        """Looks at what the calls can have written."""
        return self.state.changes_since(self.source.initial, self._touched)

    def close(self) -> None:
        self.state.close()


def reply_of(world: World, state: State, tool: str, arguments: Mapping[str, Any]) -> Reply:
    """The world's answer, its leaves named and typed."""
    answer = call(state, tool, dict(arguments))
    if answer.is_error:
        return Reply(answer.body, (), answer.code, str(answer.body.get("message", "")))
    return Reply(answer.body, tuple(_leaves(world.tools[tool].body.output, answer.body)))


def _leaves(output: Output, body: Mapping[str, Any]) -> list[Leaf]:
    columns = (*output.row_columns, *output.value_columns)
    found = [_leaf("", column, body) for column in columns]
    if output.find is not None:
        found += _of_rows("/rows", output.find.columns, body["rows"])
        found += [Leaf(f"/{name}", name, body[name]) for name in ("count", "total")]
    for name, select in output.lists:
        found += _of_rows(f"/{name}", select.columns, body[name])
    return found


def _of_rows(at: str, columns: tuple[Column, ...], rows: list[Row]) -> list[Leaf]:
    return [
        _leaf(f"{at}/{index}", column, row) for index, row in enumerate(rows) for column in columns
    ]


def _leaf(at: str, column: Column, row: Mapping[str, Any]) -> Leaf:
    return Leaf(f"{at}/{column.name}", column.name, row[column.name], column.kind.entity)


def _tool(world: World, name: str, server: str) -> Tool:
    tool, form = world.tools[name], world.form.tools[name]
    required = set(tool.input_schema.get("required", ()))
    params = tuple(
        Param(each, each in required, schema, tool.body.parameters[each].kind.entity)
        for each, schema in tool.input_schema["properties"].items()
        if each in tool.body.parameters
    )
    inserted = next((effect.insert for effect in form.effects if effect.insert), "")
    changed = next((effect.update or effect.delete for effect in form.effects), "") or ""
    output = tool.body.output
    noun = output.find.entity if output.find is not None else ""
    if not noun and form.row:
        named = form.parameters.get(f"{form.row}_id")
        noun = (named.ref if named is not None else None) or form.row
    if not noun:
        noun = inserted or changed
    if not noun:
        noun = next((param.ref for param in params if param.ref), "")
    return Tool(server, name, tool.description, tool.read_only, params, noun, inserted or "")
