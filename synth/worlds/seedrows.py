"""Rows that a world begins with, made field by field, with nothing checked but uniqueness of single
fields. The same world, seed and number of rows give the same rows on every machine.
"""

from datetime import date
from functools import partial
from typing import Any

from nexau.synth.streams import stream
from nexau.synth.worlds.compiled import Entity, World
from nexau.synth.worlds.kinds import Kind
from nexau.synth.worlds.makers import Maker, Surroundings, make_of, maker
from nexau.synth.worlds.structs import RowsPer

MAX_ROWS = 1_000_000
"""In one world."""
_TRIES = 40
Rows = dict[str, list[dict[str, Any]]]
"""Of each entity, in the order in which they were made."""


def made_rows(world: World, seed: int, rows: int | None) -> Rows:
    """`rows` scales what is made to about so many in all; None takes the file's own numbers.

    Raises OverflowError for more than `MAX_ROWS`.
    """
    return _Making(world, seed, rows).rows()


class _Making:
    def __init__(self, world: World, seed: int, rows: int | None) -> None:
        self._world = world
        self._seed = seed
        self._made: dict[str, list[dict[str, Any]]] = {}
        self._keys: dict[str, list[Any]] = {}
        self._parents: dict[str, list[Any]] = {}
        self._scale = 1.0 if rows is None else self._factor(rows)

    def _factor(self, rows: int) -> float:
        given = sum(len(each.form.data) for each in self._world.entities.values())
        expected: dict[str, float] = {}
        for entity in self._in_order():
            count = entity.form.rows
            if isinstance(count, RowsPer):
                low, high = count.between
                parents = expected[count.per] + len(self._world.entities[count.per].form.data)
                expected[entity.name] = parents * (low + high) / 2
            else:
                expected[entity.name] = count
        total = sum(expected.values())
        return max(0.0, (rows - given) / total) if total else 1.0

    def _in_order(self) -> list[Entity]:
        """Those with rows for each row of another come after it."""
        entities = self._world.entities
        ordered: dict[str, Entity] = {}

        def add(entity: Entity) -> None:
            if entity.name in ordered:
                return
            count = entity.form.rows
            if isinstance(count, RowsPer):
                add(entities[count.per])
            ordered[entity.name] = entity

        for entity in entities.values():
            add(entity)
        return list(ordered.values())

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        for entity in self._in_order():
            self._count(entity)
        for entity in self._world.entities.values():
            self._fields(entity)
        return self._made

    def _count(self, entity: Entity) -> None:
        """How many rows, and their keys, on which other rows depend."""
        count = entity.form.rows
        if isinstance(count, RowsPer):
            rng = stream(self._seed, self._world.name, "rows", entity.name)
            low, high = count.between
            parents = [key for key in self._keys[count.per] for _ in range(rng.randint(low, high))]
            self._parents[entity.name] = parents
            number = len(parents)
        else:
            number = max(1, round(count * self._scale)) if count else 0
        if sum(map(len, self._made.values())) + number > MAX_ROWS:
            raise OverflowError(f"more than {MAX_ROWS:,} rows")
        rows: list[dict[str, Any]] = [{} for _ in range(number)]
        key = entity.shape.key
        self._made[entity.name] = rows
        given = [dict(each) for each in entity.form.data]
        if entity.prefix is None:
            self._column(entity, key, rows)
        else:
            for index, row in enumerate(given):
                row.setdefault(key, key_of(entity, entity.start + index))
            for index, row in enumerate(rows, len(given)):
                row[key] = key_of(entity, entity.start + index)
        rows[:0] = given
        self._keys[entity.name] = [row.get(key) for row in rows]

    def _fields(self, entity: Entity) -> None:
        rows = self._made[entity.name][len(entity.form.data) :]
        for field in entity.columns:
            if field != entity.shape.key:
                self._column(entity, field, rows)
        for row in self._made[entity.name][: len(entity.form.data)]:
            for field, form in entity.form.fields.items():
                row.setdefault(field, form.default)

    def _column(self, entity: Entity, field: str, rows: list[dict[str, Any]]) -> None:
        form, kind = entity.form.fields[field], entity.shape.fields[field]
        parents = self._parents.get(entity.name)
        count = entity.form.rows
        if parents is not None and isinstance(count, RowsPer) and field == _link(entity, count.per):
            for row, parent in zip(rows, parents, strict=True):
                row[field] = parent
            return
        own_key = field == entity.shape.key
        plain = Kind(kind.name, kind.null, kind.values) if own_key else kind
        around = Surroundings(
            partial(stream, self._seed, self._world.name, "field", entity.name, field),
            date.fromisoformat(self._world.today[:10]),
            [] if own_key else self._keys.get(kind.entity, []),
            kind.entity == entity.name and not own_key,
            entity.start,
        )
        make = maker(make_of(form, plain, field), plain, around)
        if form.unique or own_key:
            self._unique(entity, field, rows, make, kind)
        else:
            for number, row in enumerate(rows):
                row[field] = make(number, row)

    def _unique(
        self, entity: Entity, field: str, rows: list[dict[str, Any]], make: Maker, kind: Kind
    ) -> None:
        taken = {each.get(field) for each in entity.form.data}
        for number, row in enumerate(rows):
            value = make(number, row)
            for _ in range(_TRIES):
                if value is None or value not in taken:
                    break
                value = make(number, row)
            if value in taken and value is not None:
                value = _another(value, taken, kind)
            row[field] = value
            taken.add(value)


def _link(entity: Entity, parent: str) -> str:
    """The field that names the parent of a row: the first reference to it."""
    for field, target in entity.shape.references.values():
        if target == parent:
            return field
    return ""


def _another(value: Any, taken: set[Any], kind: Kind) -> Any:
    """Like `value`, and free: numbers from there on, texts with a number after them."""
    number = 2
    while True:
        made = value + number if kind.name in {"integer", "number"} else f"{value} {number}"
        if made not in taken or kind.values or kind.name in {"boolean", "date", "datetime"}:
            return made if made not in taken and not kind.values else value
        number += 1


def key_of(entity: Entity, number: int) -> Any:
    """The key that the entity's sequence has for `number`."""
    if entity.shape.fields[entity.shape.key].name == "integer":
        return number
    return f"{entity.prefix}{number}{entity.suffix}"
