"""Calls that succeed: arguments for a tool, taken from the rows of a world and tried for real."""

from collections.abc import Mapping
from random import Random
from typing import Any

from nexau.synth.tasks.lookups import asks, natural
from nexau.synth.tasks.phrases import TEXTS
from nexau.synth.tasks.sitting import Sitting
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Attempt, Param, Tool
from nexau.synth.worlds.state import Row

TRIES = 14
_LIMITS = ("limit", "offset", "page")
_OPTIONAL = 0.35
"""Share of the optional parameters that a call gives."""


class Attempts:
    """Tries a tool on a session until a call succeeds, or is refused where that is wanted."""

    def __init__(self, source: WorldSource) -> None:
        self._source = source

    async def succeed(
        self,
        session: Sitting,
        tool: Tool,
        chance: Random,
        known: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> Attempt | None:
        """`known` holds keys by noun that should be used where they fit, `fixed` arguments that
        are as they are.
        """
        for _ in range(TRIES):
            arguments = self.arguments(tool, chance, known)
            if arguments is None:
                return None
            arguments |= fixed or {}
            reply = await session.call(tool, arguments)
            if not reply.error:
                return Attempt(tool, arguments, reply)
        return None

    async def refused(self, session: Sitting, tool: Tool, chance: Random) -> Attempt | None:
        """A call that a rule refuses; on the way, one may succeed and change things."""
        for _ in range(TRIES):
            arguments = self.arguments(tool, chance, {})
            if arguments is None:
                return None
            reply = await session.call(tool, arguments)
            if reply.error and not reply.error.startswith(("invalid_", "no_such_", "unknown_")):
                return Attempt(tool, arguments, reply)
        return None

    def arguments(
        self, tool: Tool, chance: Random, known: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Arguments that belong together: references follow from the first row that is chosen."""
        chosen: dict[str, Row] = {}
        made: dict[str, Any] = {}
        for param in sorted(tool.params, key=lambda p: (not p.ref, not p.required)):
            if param.name in _LIMITS:
                continue
            if not param.required and chance.random() > _OPTIONAL:
                continue
            value = self._value(tool, param, chance, known, chosen)
            if value is None:
                if param.required:
                    return None
                continue
            made[param.name] = value
        return {param.name: made[param.name] for param in tool.params if param.name in made}

    def _value(
        self,
        tool: Tool,
        param: Param,
        chance: Random,
        known: Mapping[str, Any],
        chosen: dict[str, Row],
    ) -> Any:
        if param.kind == "array":
            one = Param(param.name, True, dict(param.schema.get("items", {})), param.ref)
            value = self._value(tool, one, chance, known, chosen)
            return None if value is None else [value]
        if param.ref:
            return self._key(param, chance, known, chosen)
        if param.values:
            return chance.choice(param.values)
        for row in chosen.values():
            if param.name in row and row[param.name] is not None and chance.random() < 0.5:
                return row[param.name]
        return self._plain(tool, param, chance, chosen)

    def _key(
        self, param: Param, chance: Random, known: Mapping[str, Any], chosen: dict[str, Row]
    ) -> Any:
        entities = self._source.world.entities
        if param.ref in known and param.ref not in chosen:
            key = known[param.ref]
            row = self._source.row(param.ref, key)
            if row is not None:
                chosen[param.ref] = row
            return key
        for name, row in chosen.items():
            for field, named in entities[name].shape.references.values():
                if named == param.ref and row[field] is not None:
                    self._choose(param.ref, row[field], chosen)
                    return row[field]
        related = self._related(param.ref, chosen)
        rows = related or self._source.rows(param.ref)
        if not rows:
            return None
        row = chance.choice(rows)
        chosen.setdefault(param.ref, row)
        return row[entities[param.ref].shape.key]

    def _choose(self, entity: str, key: Any, chosen: dict[str, Row]) -> None:
        row = self._source.row(entity, key)
        if row is not None:
            chosen.setdefault(entity, row)

    def _related(self, entity: str, chosen: Mapping[str, Row]) -> list[Row]:
        """Rows that refer to one that is chosen already: items of the order."""
        entities = self._source.world.entities
        for field, named in entities[entity].shape.references.values():
            if named in chosen:
                key = chosen[named][entities[named].shape.key]
                return self._source.referring(entity, field, key)
        return []

    def _plain(self, tool: Tool, param: Param, chance: Random, chosen: Mapping[str, Row]) -> Any:
        schema = param.schema
        if param.kind == "boolean":
            return chance.random() < 0.5
        if tool.reads and asks(param.name) and tool.noun in self._source.world.entities:
            rows = self._source.rows(tool.noun)
            return natural(chance.choice(rows)) if rows else None
        similar = self._similar(tool, param, chance)
        if param.kind in ("integer", "number"):
            low = schema.get("minimum", 1)
            high = schema.get("maximum", max(low, 10))
            if similar is not None and low <= similar <= schema.get("maximum", similar):
                return similar
            number = chance.randint(int(low), int(min(high, low + 20)))
            return number if param.kind == "integer" else float(number)
        if similar is not None:
            return similar
        if "pattern" in schema:
            return None
        return chance.choice(TEXTS)

    def _similar(self, tool: Tool, param: Param, chance: Random) -> Any:
        """A value that rows hold under this name: those the tool is about, then any."""
        names = [tool.makes, tool.noun, *self._source.world.entities]
        for name in names:
            entity = self._source.world.entities.get(name)
            if entity is None or param.name not in entity.shape.fields:
                continue
            rows = self._source.rows(name)
            values = [row[param.name] for row in rows if row[param.name] is not None]
            if values:
                return chance.choice(values)
        return None
