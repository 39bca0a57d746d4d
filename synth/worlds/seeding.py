"""Seeded rows: the same world, seed and number of rows give the same rows on every machine."""

import sqlite3
from collections.abc import Iterable
from datetime import date
from typing import Any

from msgspec import Struct

from nexau.synth.streams import stream
from nexau.synth.worlds.compiled import Entity, World
from nexau.synth.worlds.kinds import COLUMN, Kind
from nexau.synth.worlds.makers import Maker, Surroundings, make_of, maker
from nexau.synth.worlds.sandbox import connect
from nexau.synth.worlds.sql import quoted
from nexau.synth.worlds.structs import RowsPer

MAX_ROWS = 1_000_000
"""In one world."""
_TRIES = 40


class Dropped(Struct, frozen=True):
    """Seeded rows that broke a constraint, and were left out."""

    entity: str
    made: int
    dropped: int


def seed_tables(
    world: World, seed: int, rows: int | None
) -> tuple[sqlite3.Connection, list[Dropped]]:
    """A new database with the world's tables, filled. `rows` scales what is made to about so many
    in all; None takes the file's own numbers.
    """
    made = _Seeding(world, seed, rows).rows()
    db = connect()
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("ATTACH ':memory:' AS stage")
    with_stage = _Stage(db, world)
    with_stage.fill(made)
    with_stage.distinct()
    with_stage.compute()
    dropped = with_stage.move()
    db.execute("DETACH stage")
    db.execute("CREATE TABLE _counter (entity TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
    for entity in world.entities.values():
        count = max(0, len(made[entity.name]))
        db.execute("INSERT INTO _counter VALUES (?, ?)", (entity.name, entity.start + count))
    return db, dropped


class _Seeding:
    """Rows in Python, field by field, with nothing checked but uniqueness of single fields."""

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
        rng = stream(self._seed, self._world.name, "rows", entity.name)
        if isinstance(count, RowsPer):
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
        self._column(entity, key, rows)
        given = [dict(each) for each in entity.form.data]
        rows[:0] = given
        if entity.prefix is not None:
            for index, row in enumerate(given):
                row.setdefault(key, self._sequence_key(entity, index))
            for index, row in enumerate(rows[len(given) :], len(given)):
                row[key] = self._sequence_key(entity, index)
        self._keys[entity.name] = [row.get(key) for row in rows]

    @staticmethod
    def _sequence_key(entity: Entity, index: int) -> Any:
        return key_of(entity, entity.start + index)

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
            stream(self._seed, self._world.name, "field", entity.name, field),
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


class _Stage:
    """Tables without constraints, on which values are computed, and from which rows that hold
    move to the tables with them.
    """

    def __init__(self, db: sqlite3.Connection, world: World) -> None:
        self._db = db
        self._world = world
        self._made: dict[str, int] = {}

    def fill(self, made: dict[str, list[dict[str, Any]]]) -> None:
        for entity in self._world.entities.values():
            name = quoted(entity.name)
            columns = ", ".join(
                f"{quoted(f)} {COLUMN[entity.shape.fields[f].name]}" for f in entity.columns
            )
            self._db.execute(f"CREATE TABLE stage.{name} ({columns})")
            marks = ", ".join("?" * len(entity.columns))
            self._made[entity.name] = len(made[entity.name])
            self._db.executemany(
                f"INSERT INTO stage.{name} VALUES ({marks})",
                _tuples(made[entity.name], entity.columns),
            )

    def distinct(self) -> None:
        """Rows alike in what has to differ go before anything is computed from them."""
        for entity in self._world.entities.values():
            later = {each.field for each in self._world.computed if each.entity == entity.name}
            single = [[f] for f, form in entity.form.fields.items() if form.unique]
            for group in (*entity.form.unique, *single):
                if later & set(group):
                    continue
                name, columns = quoted(entity.name), ", ".join(map(quoted, group))
                some = " AND ".join(f"{quoted(field)} IS NOT NULL" for field in group)
                self._db.execute(
                    f"DELETE FROM stage.{name} WHERE {some} AND rowid NOT IN "
                    f"(SELECT min(rowid) FROM stage.{name} GROUP BY {columns})"
                )
        self._sever("stage")

    def compute(self) -> None:
        """Names without a schema are those of the stage: the tables proper are not there yet."""
        if self._world.computed:
            self._index()
        for each in self._world.computed:
            text = f"UPDATE stage.{quoted(each.entity)} AS t0 SET {quoted(each.field)} = "
            self._db.execute(text + each.statement.sql, each.statement.bindings)

    def _index(self) -> None:
        for entity in self._world.entities.values():
            fields = [entity.shape.key, *(f for f, _ in entity.shape.references.values())]
            for field in fields:
                name = quoted(f"{entity.name}__{field}")
                self._db.execute(
                    f"CREATE INDEX stage.{name} ON {quoted(entity.name)} ({quoted(field)})"
                )

    def move(self) -> list[Dropped]:
        for entity in self._world.entities.values():
            name = quoted(entity.name)
            self._db.execute(entity.ddl)
            order = quoted(entity.shape.key)
            self._db.execute(
                f"INSERT OR IGNORE INTO main.{name} SELECT * FROM stage.{name} ORDER BY {order}"
            )
        self._sever("main")
        for entity in self._world.entities.values():
            for index in entity.indexes:
                self._db.execute(index)
        left = {n: self._one(f"SELECT count(*) FROM main.{quoted(n)}") for n in self._made}
        return [
            Dropped(n, made, made - left[n]) for n, made in self._made.items() if left[n] < made
        ]

    def _sever(self, schema: str) -> None:
        """Rows whose reference leads nowhere go too, and those that refer to them."""
        later = {(each.entity, each.field) for each in self._world.computed}
        changed = True
        while changed:
            changed = False
            for entity in self._world.entities.values():
                for field, target in entity.shape.references.values():
                    if schema == "stage" and (entity.name, field) in later:
                        continue
                    key = quoted(self._world.entities[target].shape.key)
                    table, column = f"{schema}.{quoted(entity.name)}", quoted(field)
                    found = self._db.execute(
                        f"DELETE FROM {table} WHERE {column} IS NOT NULL "
                        f"AND {column} NOT IN (SELECT {key} FROM {schema}.{quoted(target)})"
                    )
                    changed = changed or found.rowcount > 0

    def _one(self, text: str) -> int:
        return int(self._db.execute(text).fetchone()[0])


def _tuples(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
    return (tuple(row.get(column) for column in columns) for row in rows)


def rows_of(db: sqlite3.Connection, world: World) -> int:
    """Rows in all tables."""
    return sum(
        int(db.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0])
        for name in world.entities
    )
