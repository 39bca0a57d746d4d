"""Arguments to try a tool with: those that may work, and those that must not."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from nexau.synth.worlds.compiled import Parameter, Tool, World
from nexau.synth.worlds.patterns import text_for
from nexau.synth.worlds.state import Row, State

_KEPT = 0.8
"""How often a row is chosen that the rows chosen before refer to."""
_LEFT_OUT = 0.4
_NEAR = (1, 2, 3, 5, 10, 20, 50, 100)


class Drawer:
    """Draws arguments that fit the schema, from rows that are there and that belong together."""

    def __init__(self, state: State, rng: random.Random) -> None:
        self._world: World = state.world
        self._rng = rng
        self.rows: dict[str, list[Row]] = state.dump()
        self._by_key = {
            name: {row[entity.shape.key]: row for row in self.rows[name]}
            for name, entity in self._world.entities.items()
        }

    def related(self, entity: str, key: Any) -> Iterator[tuple[str, Any]]:
        """The keys that a row holds, with their entities."""
        row = self._by_key[entity].get(key)
        if row is not None:
            for field, target in self._world.entities[entity].shape.references.values():
                yield target, row[field]

    def possible(self, tool: Tool) -> bool:
        """Whether there is a row for each reference that has to be given."""
        return all(
            self.rows[each.kind.entity] or not each.required
            for each in tool.body.parameters.values()
            if each.kind.entity
        )

    def draw(self, tool: Tool, number: int) -> dict[str, Any]:
        """Arguments for the `number`th try: the first reference goes through all its rows."""
        chosen: dict[str, Row] = {}
        made: dict[str, Any] = {}
        for name in self._in_order(tool):
            parameter = tool.body.parameters[name]
            if not parameter.required and self._rng.random() < _LEFT_OUT:
                continue
            if parameter.kind.entity and not parameter.kind.many:
                row = self._row(tool, parameter.kind.entity, chosen, number)
                if row is not None:
                    chosen[name] = row
                    made[name] = row[self._world.entities[parameter.kind.entity].shape.key]
            else:
                made[name] = self._value(name, parameter, chosen)
        return {name: made[name] for name in tool.body.parameters if name in made}

    def _in_order(self, tool: Tool) -> list[str]:
        """Rows that refer to others first, plain values last."""

        def weight(name: str) -> tuple[int, str]:
            entity = tool.body.parameters[name].kind.entity
            if not entity:
                return (1, name)
            return (-len(self._world.entities[entity].shape.references), name)

        return sorted(tool.body.parameters, key=weight)

    def _row(self, tool: Tool, entity: str, chosen: dict[str, Row], number: int) -> Row | None:
        rows = self.rows[entity]
        if not rows:
            return None
        if not chosen:
            return rows[number % len(rows)]
        linked = [
            key for name, row in chosen.items() for key in self._linked(tool, entity, name, row)
        ]
        if linked and self._rng.random() < _KEPT:
            return self._by_key[entity][self._rng.choice(linked)]
        return self._rng.choice(rows)

    def _linked(self, tool: Tool, entity: str, name: str, row: Row) -> Iterator[Any]:
        """Keys of `entity` that the row chosen for the parameter `name` holds."""
        shape = self._world.entities[tool.body.parameters[name].kind.entity].shape
        for field, target in shape.references.values():
            if target == entity and row[field] is not None:
                yield row[field]

    def _value(self, name: str, parameter: Parameter, chosen: dict[str, Row]) -> Any:
        kind = parameter.kind
        if kind.many:
            count = self._rng.randint(parameter.schema.get("minItems") or 1, 3)
            if kind.entity:
                key = self._world.entities[kind.entity].shape.key
                rows = self.rows[kind.entity]
                return [row[key] for row in self._rng.sample(rows, min(count, len(rows)))]
            return [self._single(name, parameter, chosen) for _ in range(count)]
        return self._single(name, parameter, chosen)

    def _single(self, name: str, parameter: Parameter, chosen: dict[str, Row]) -> Any:
        kind = parameter.kind
        schema = parameter.schema.get("items", parameter.schema)
        if kind.values:
            return self._rng.choice(kind.values)
        if kind.name == "boolean":
            return self._rng.random() < 0.5
        if kind.name in {"integer", "number"}:
            return self._number(name, kind.name, schema, chosen)
        if kind.name in {"date", "datetime"}:
            day = date.fromisoformat(self._world.today[:10])
            day += timedelta(days=self._rng.choice((-30, -7, 0, 1, 3, 10, 20, 40, 90)))
            hour = self._rng.randint(8, 17)
            return day.isoformat() + ("" if kind.name == "date" else f"T{hour:02}:00")
        return self._text(name, schema, chosen)

    def _number(self, name: str, kind: str, schema: dict[str, Any], chosen: dict[str, Row]) -> Any:
        """Small, or near a number of the rows at hand; within the bounds of the schema."""
        near: list[Any] = [
            value for row in chosen.values() for value in row.values() if _is_number(value)
        ]
        if near and self._rng.random() < 0.5:
            value: Any = self._rng.choice(near) + self._rng.choice((-10, -1, 0, 0, 1))
        else:
            value = self._rng.choice(_NEAR)
        value = max(value, schema.get("minimum", value))
        value = min(value, schema.get("maximum", value))
        return round(value) if kind == "integer" else value

    def _text(self, name: str, schema: dict[str, Any], chosen: dict[str, Row]) -> str:
        """One of the same name in the rows, a part of one, or something that says its name."""
        filled: list[list[Row]] = [rows for rows in self.rows.values() if rows]
        rows = self._rng.choice(filled) if filled else [{}]
        same = [row[name] for row in chosen.values() if isinstance(row.get(name), str)]
        same += [row[name] for rows in self.rows.values() for row in rows[:3]
                 if isinstance(row.get(name), str)]  # fmt: skip
        if "pattern" in schema:
            made = text_for(schema["pattern"], self._rng)
            if made is not None and (not same or self._rng.random() < 0.5):
                return made
            if same:
                return str(self._rng.choice(same))
        row: Row = self._rng.choice(rows)
        texts = [value for value in row.values() if isinstance(value, str)]
        if texts and self._rng.random() < 0.5:
            text = self._rng.choice(texts)[: self._rng.randint(1, 6)].strip() or "a"
        else:
            text = f"some {name.replace('_', ' ')}"
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
        return text.ljust(least, "x")[:most]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def invalid(tool: Tool, good: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Arguments that must not work, with the code that they have to get."""
    parameters = tool.body.parameters
    yield {**good, "no_such_argument": 1}, "invalid_arguments"
    for number, (name, parameter) in enumerate(parameters.items()):
        if parameter.required:
            yield {k: v for k, v in good.items() if k != name}, "invalid_arguments"
        if number == 0:
            yield {**good, name: {"not": "this"}}, "invalid_arguments"
        if parameter.kind.values and not parameter.kind.many:
            yield {**good, name: "no such value"}, "invalid_arguments"
    for name, entity in tool.body.references:
        absent: Any = -987654 if parameters[name].kind.name == "integer" else "no-such-key"
        yield {**good, name: absent}, f"no_such_{entity}"
        break
