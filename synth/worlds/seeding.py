"""Tables of a world with the rows that it begins with. Rows that break a constraint are left out,
and with them those that refer to them.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from nexau.synth.worlds.compiled import Computed, Entity, World
from nexau.synth.worlds.kinds import COLUMN
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.sandbox import connect
from nexau.synth.worlds.seedrows import Rows, made_rows

_FEW = 500
"""Rows of a world that are looked through faster than an index is made."""


class Dropped(Struct, frozen=True):
    """Seeded rows that broke a constraint, and were left out."""

    entity: str
    made: int
    dropped: int


def seed_tables(
    world: World, seed: int, rows: int | None
) -> tuple[sqlite3.Connection, list[Dropped]]:
    """A new database with the world's tables, filled. `rows` as in `made_rows`."""
    made = made_rows(world, seed, rows)
    numbers = {name: len(each) for name, each in made.items()}
    _drop_alike(world, made)
    _drop_severed(world, made)
    _compute(world, made)
    db = connect()
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("BEGIN")
    left = _fill(db, world, made)
    db.execute("CREATE TABLE _counter (entity TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
    counts = [(name, each.start + numbers[name]) for name, each in world.entities.items()]
    db.executemany("INSERT INTO _counter VALUES (?, ?)", counts)
    db.execute("COMMIT")
    return db, [
        Dropped(name, number, number - left[name])
        for name, number in numbers.items()
        if left[name] < number
    ]


def _later(world: World) -> set[tuple[str, str]]:
    """Fields that have no value before all rows are there."""
    return {(each.entity, each.field) for each in world.computed}


def _drop_alike(world: World, made: Rows) -> None:
    """Rows alike in what has to differ go before anything is computed from them."""
    later = _later(world)
    for name, entity in world.entities.items():
        single = [[field] for field, form in entity.form.fields.items() if form.unique]
        for group in (*entity.form.unique, *single):
            if not any((name, field) in later for field in group):
                made[name] = _distinct(made[name], group)


def _distinct(rows: list[dict[str, Any]], group: Sequence[str]) -> list[dict[str, Any]]:
    """The first of those alike; rows with a null in `group` are like no other."""
    seen: set[tuple[Any, ...]] = set()
    kept: list[dict[str, Any]] = []
    for row in rows:
        values = tuple([row.get(field) for field in group])
        if values in seen and None not in values:
            continue
        seen.add(values)
        kept.append(row)
    return kept


def _drop_severed(world: World, made: Rows) -> None:
    """Rows whose reference leads nowhere go too, and those that refer to them."""
    later = _later(world)
    keys = {name: _keys(entity, made[name]) for name, entity in world.entities.items()}
    changed = True
    while changed:
        changed = False
        for name, entity in world.entities.items():
            for field, target in entity.shape.references.values():
                if (name, field) in later:
                    continue
                there = keys[target]
                kept = [row for row in made[name] if row.get(field) in there]
                if len(kept) < len(made[name]):
                    made[name], keys[name], changed = kept, _keys(entity, kept), True


def _keys(entity: Entity, rows: list[dict[str, Any]]) -> set[Any]:
    """What a reference to the entity may hold: null refers to nothing that could be missing."""
    return {None, *(row.get(entity.shape.key) for row in rows)}


def _compute(world: World, made: Rows) -> None:
    """Fields that expressions give, from all rows: in a database of their own, whose tables have
    no constraints yet.
    """
    if not world.computed:
        return
    looked_at = {entity for each in world.computed for entity, _ in each.uses}
    staged = [each for name, each in world.entities.items()
              if name in looked_at | {each.entity for each in world.computed}]  # fmt: skip
    db = connect()
    try:
        db.execute("BEGIN")
        for entity in staged:
            columns = ", ".join(
                f"{quoted(f)} {COLUMN[entity.shape.fields[f].name]}" for f in entity.columns
            )
            db.execute(f"CREATE TABLE {quoted(entity.name)} ({columns})")
            db.executemany(_insert(entity, "INSERT"), _tuples(made[entity.name], entity))
        if sum(map(len, made.values())) > _FEW:
            _index(db, staged)
        for each in world.computed:
            text = f"UPDATE {quoted(each.entity)} AS t0 SET {quoted(each.field)} = "
            db.execute(text + each.statement.sql, each.statement.bindings)
        for each in world.computed:
            _take_over(db, each, made[each.entity])
    finally:
        db.close()


def _index(db: sqlite3.Connection, entities: list[Entity]) -> None:
    for entity in entities:
        for field in (entity.shape.key, *(f for f, _ in entity.shape.references.values())):
            name = quoted(f"{entity.name}__{field}")
            db.execute(f"CREATE INDEX {name} ON {quoted(entity.name)} ({quoted(field)})")


def _take_over(db: sqlite3.Connection, computed: Computed, rows: list[dict[str, Any]]) -> None:
    text = f"SELECT {quoted(computed.field)} FROM {quoted(computed.entity)} ORDER BY rowid"
    for row, (value,) in zip(rows, db.execute(text), strict=True):
        row[computed.field] = value


def _fill(db: sqlite3.Connection, world: World, made: Rows) -> dict[str, int]:
    """The tables with their constraints, and how many rows are left in each."""
    left: dict[str, int] = {}
    for name, entity in world.entities.items():
        db.execute(entity.ddl)
        rows = sorted(made[name], key=lambda row, key=entity.shape.key: _order(row.get(key)))  # type: ignore[misc]
        done = db.executemany(_insert(entity, "INSERT OR IGNORE"), _tuples(rows, entity))
        left[name] = max(0, done.rowcount)
    later = _later(world)
    refers = any(
        (name, field) in later
        for name, entity in world.entities.items()
        for field, _ in entity.shape.references.values()
    )
    if refers or any(left[name] < len(rows) for name, rows in made.items()):
        left = _sever(db, world)
    for entity in world.entities.values():
        for index in entity.indexes:
            db.execute(index)
    return left


def _order(key: Any) -> tuple[bool, Any]:
    return key is not None, key


def _sever(db: sqlite3.Connection, world: World) -> dict[str, int]:
    """As `_drop_severed`, of what the tables have let in; how many rows are left in each."""
    changed = True
    while changed:
        changed = False
        for entity in world.entities.values():
            for field, target in entity.shape.references.values():
                key = quoted(world.entities[target].shape.key)
                column = quoted(field)
                found = db.execute(
                    f"DELETE FROM {quoted(entity.name)} WHERE {column} IS NOT NULL "
                    f"AND {column} NOT IN (SELECT {key} FROM {quoted(target)})"
                )
                changed = changed or found.rowcount > 0
    return {name: _count(db, name) for name in world.entities}


def _insert(entity: Entity, verb: str) -> str:
    return f"{verb} INTO {quoted(entity.name)} VALUES ({', '.join('?' * len(entity.columns))})"


def _tuples(rows: list[dict[str, Any]], entity: Entity) -> Iterator[tuple[Any, ...]]:
    return (tuple([row.get(column) for column in entity.columns]) for row in rows)


def rows_of(db: sqlite3.Connection, world: World) -> int:
    """Rows in all tables."""
    return sum(_count(db, name) for name in world.entities)


def _count(db: sqlite3.Connection, entity: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {quoted(entity)}").fetchone()[0])
