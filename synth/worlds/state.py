"""States of a world: a seeded template, cheap private copies, and what can be told about them."""

import hashlib
import sqlite3
from collections.abc import Container, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.synth.worlds.compiled import Entity, World
from nexau.synth.worlds.kinds import BOOLEAN, Kind
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.sandbox import Budget, close_in, connect
from nexau.synth.worlds.seeding import Dropped, seed_tables

MAX_KEPT = 20_000
"""Rows of an entity that a state which nobody changes keeps in memory."""

Row = dict[str, Any]
Dump = dict[str, list[Row]]
"""Entities and their rows, by key."""


class Changes(Struct, frozen=True):
    """How one entity differs between two states, by key."""

    added: dict[Any, Row]
    removed: dict[Any, Row]
    changed: dict[Any, dict[str, list[Any]]]
    """Fields with what they were and what they are."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class State:
    """One state: its tables, with no way to anything else. Close it to give the memory back."""

    __slots__ = ("_begun", "_kept", "budget", "db", "world")

    def __init__(self, world: World, db: sqlite3.Connection) -> None:
        """Takes `db` over, and closes it in."""
        self.world = world
        self.db = db
        self.budget: Budget = close_in(db)
        self._begun = db.total_changes
        self._kept: dict[str, list[tuple[Any, ...]]] | None = None

    def close(self) -> None:
        self.db.close()

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever written; what was undone counts as written."""
        return self.db.total_changes == self._begun

    def keep(self) -> None:
        """From now on nobody changes it: what it is compared with again and again is kept."""
        self._kept = {}

    def rows(self, entity: str) -> list[Row]:
        """By key, booleans as such."""
        made = self.world.entities[entity]
        return [_row(made, values) for values in self.raw(entity)]

    def dump(self) -> Dump:
        return {name: self.rows(name) for name in self.world.entities}

    def digest(self) -> str:
        """SHA-256 of all rows of all entities: equal if and only if the states are."""
        sha = hashlib.sha256()
        for name, entity in self.world.entities.items():
            sha.update(f"\n{name}\n".encode())
            self.budget.renew()
            for values in self.db.execute(entity.select):
                sha.update(msgspec.json.encode(values))
                sha.update(b"\n")
        return sha.hexdigest()

    def changes_since(
        self, before: "State", among: Container[str] | None = None
    ) -> dict[str, Changes]:
        """Of the entities that differ; where it is known which can, `among` them."""
        made: dict[str, Changes] = {}
        for name, entity in self.world.entities.items():
            if among is not None and name not in among:
                continue
            old, new = before.raw(name), self.raw(name)
            if old == new:
                continue
            old, new = _apart(old, new)
            made[name] = _compare(
                entity, [_row(entity, each) for each in old], [_row(entity, each) for each in new]
            )
        return made

    def raw(self, entity: str) -> list[tuple[Any, ...]]:
        """Rows by key, as SQLite gives them: to be compared, which costs a tenth of `rows`."""
        self.budget.renew()
        return self.db.execute(self.world.entities[entity].select).fetchall()


def _row(entity: Entity, values: tuple[Any, ...]) -> Row:
    row = dict(zip(entity.columns, values, strict=True))
    for column in entity.booleans:
        row[column] = plain(row[column], BOOLEAN)
    return row


def plain(value: Any, kind: Kind) -> Any:
    """A value of SQLite as one of JSON."""
    return bool(value) if kind.name == "boolean" and value is not None else value


def _apart(
    old: list[tuple[Any, ...]], new: list[tuple[Any, ...]]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of each that the other does not have, in their order."""
    before, after = set(old), set(new)
    return [row for row in old if row not in after], [row for row in new if row not in before]


def _compare(entity: Entity, before: list[Row], after: list[Row]) -> Changes:
    key = entity.shape.key
    old, new = {row[key]: row for row in before}, {row[key]: row for row in after}
    return Changes(
        {k: row for k, row in new.items() if k not in old},
        {k: row for k, row in old.items() if k not in new},
        {
            k: {f: [old[k][f], value] for f, value in row.items() if old[k][f] != value}
            for k, row in new.items()
            if k in old and row != old[k]
        },
    )


class Template:
    """A world's seeded state, from which private ones are made."""

    def __init__(self, world: World, *, seed: int | None = None, rows: int | None = None) -> None:
        """`rows` scales the seeded rows to about so many. Raises OverflowError for too many."""
        self.world = world
        self.seed = world.seed if seed is None else seed
        self.dropped: list[Dropped]
        self._db, self.dropped = seed_tables(world, self.seed, rows)

    def state(self) -> State:
        """A copy of its own, in memory."""
        db = connect()
        self._db.backup(db)
        return State(self.world, db)

    def state_after(self, changes: Mapping[str, Changes]) -> State:
        """A copy in which `changes` have happened, however they came about."""
        db = connect()
        self._db.backup(db)
        db.execute("PRAGMA foreign_keys = OFF")
        for name, change in changes.items():
            entity = self.world.entities[name]
            table, key = quoted(name), quoted(entity.shape.key)
            db.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(k,) for k in change.removed])
            for k, fields in change.changed.items():
                sets = ", ".join(f"{quoted(field)} = ?" for field in fields)
                values = [pair[1] for pair in fields.values()]
                db.execute(f"UPDATE {table} SET {sets} WHERE {key} = ?", (*values, k))
            columns = ", ".join(map(quoted, entity.columns))
            marks = ", ".join(f":{column}" for column in entity.columns)
            rows = list(change.added.values())
            db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        db.commit()
        return State(self.world, db)

    def close(self) -> None:
        self._db.close()


def changes_of(world: World, read: Mapping[str, Any]) -> dict[str, Changes]:
    """What `world://changes` says, read back: keys of JSON objects are texts, keys of rows may be
    numbers. Raises KeyError, TypeError or ValueError for what is no such thing.
    """
    made: dict[str, Changes] = {}
    for name, parts in read.items():
        entity = world.entities[name]
        number = entity.shape.fields[entity.shape.key].name == "integer"
        keyed = {
            what: {int(k) if number else k: value for k, value in parts[what].items()}
            for what in ("added", "removed", "changed")
        }
        made[name] = Changes(**keyed)
    return made


def state_of(world: World, dump: Dump) -> State:
    """The state that was dumped, as one that can be asked. Its sequences begin anew.

    Raises `ValueError` for what is no dump of this world.
    """
    db = connect()
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("CREATE TABLE _counter (entity TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
    for name, entity in world.entities.items():
        db.execute(entity.ddl)
        marks = ", ".join(f":{column}" for column in entity.columns)
        columns = ", ".join(map(quoted, entity.columns))
        rows = dump.get(name)
        if not isinstance(rows, list):
            raise ValueError(f"the dump has no rows of {name}")
        text = f"INSERT INTO {quoted(name)} ({columns}) VALUES ({marks})"
        try:
            db.executemany(text, rows)
        except sqlite3.Error as error:
            raise ValueError(f"rows of {name}: {error}") from None
        for index in entity.indexes:
            db.execute(index)
        db.execute("INSERT INTO _counter VALUES (?, ?)", (name, entity.start + len(rows)))
    return State(world, db)
