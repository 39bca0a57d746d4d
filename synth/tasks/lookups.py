"""How a row of a world can be found by reading: the calls whose results hold its key."""

from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct

from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Leaf, Reply, Tool
from nexau.synth.worlds.state import Row

NATURAL = (
    "email",
    "name",
    "title",
    "full_name",
    "code",
    "label",
    "sku",
    "isbn",
    "number",
    "subject",
)
"""Fields by which people name a row, best first."""

MAX_TRIES = 3
_QUERY = ("query", "search", "text", "q", "term", "keyword", "name", "email", "title")


class Lookup(Struct, frozen=True):
    """A reading call that was made, and where in its result the key stands."""

    tool: Tool
    arguments: dict[str, Any]
    leaf: Leaf
    reply: Reply


class Lookups:
    """Finds lookups of a world's rows; each is really called, in the initial state."""

    def __init__(self, source: WorldSource) -> None:
        self._source = source
        self._readers = [tool for tool in source.tools.values() if tool.reads]

    async def of(self, entity: str, key: Any, chance: Random) -> list[Lookup]:
        """Calls that do not take the key itself and bring it back, in a random order."""
        row = self._source.row(entity, key)
        if row is None:
            return []
        found: list[Lookup] = []
        for tool in self._readers:
            for arguments in self._ways(tool, entity, row, chance):
                reply = await self._source.look(tool.name, arguments)
                leaf = next((x for x in reply.leaves if x.noun == entity and x.value == key), None)
                if leaf is not None:
                    found.append(Lookup(tool, arguments, leaf, reply))
        chance.shuffle(found)
        return found

    def _ways(self, tool: Tool, entity: str, row: Row, chance: Random) -> Iterator[dict[str, Any]]:
        """Arguments that a person who knows `row`, but not its key, could give."""
        own: dict[str, Any] = {}
        open_refs: list[str] = []
        for param in tool.params:
            if param.ref == entity:
                return
            if not param.required:
                continue
            value = self._known(param.name, param.ref, entity, row)
            if value is None and param.ref:
                open_refs.append(param.name)
            elif value is None or (param.values and value not in param.values):
                return
            else:
                own[param.name] = value
        if not open_refs:
            yield own
        elif len(open_refs) == 1:
            # Another row that refers to this one: the order of which the customer is wanted.
            name = open_refs[0]
            for other in self._referring(tool.param(name).ref, entity, row, chance):
                yield {**own, name: other}

    def _known(self, name: str, ref: str, entity: str, row: Row) -> Any:
        references = self._source.world.entities[entity].shape.references
        if ref:
            fields = [field for field, named in references.values() if named == ref]
            exact = [field for field in fields if field == name] or fields
            return row.get(exact[0]) if exact else None
        if name in row:
            return row[name]
        if asks(name):
            return natural(row)
        return None

    def _referring(self, other: str, entity: str, row: Row, chance: Random) -> list[Any]:
        shapes = self._source.world.entities
        key = row[shapes[entity].shape.key]
        fields = [f for f, named in shapes[other].shape.references.values() if named == entity]
        if not fields:
            return []
        keys = [
            each[shapes[other].shape.key]
            for field in fields
            for each in self._source.referring(other, field, key)
        ]
        keys = list(dict.fromkeys(keys))
        return chance.sample(keys, min(len(keys), MAX_TRIES))


def asks(name: str) -> bool:
    """Whether a parameter takes the words of a search."""
    return any(name == each or name.endswith(f"_{each}") for each in _QUERY)


def natural(row: Row) -> str | None:
    """What people call a row by; None where it has nothing of the kind."""
    for field in NATURAL:
        value = row.get(field)
        if isinstance(value, str) and value:
            return value
    return None
