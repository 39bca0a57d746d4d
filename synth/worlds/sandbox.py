"""Connections on which a world file can do nothing but read and write its own tables.

Its statements are compiled from its expressions, never taken from it. These bounds hold even so:
an authorizer admits reading and changing rows of plain tables and pure functions, and nothing
else (no ATTACH, no PRAGMA, no schema change, no extension); every statement has a number of steps,
counted by SQLite's progress handler, so that the bound does not depend on the machine; and texts,
statements and nesting have SQLite's own limits.
"""

import sqlite3
from typing import Final

MAX_STEPS = 20_000_000
"""Instructions of SQLite's virtual machine for one call: about a second."""
_EVERY = 20_000
MAX_TEXT = 1_000_000
"""Bytes of one value."""
_LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 500_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 500),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)
_OF_TABLES: Final = frozenset(
    {
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
    }
)
_PLAIN: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION})
_FUNCTION: Final = sqlite3.SQLITE_FUNCTION
_ADMITTED: Final = sqlite3.SQLITE_OK
_DENIED: Final = sqlite3.SQLITE_DENY
_FUNCTIONS: Final = frozenset(
    {"abs", "avg", "coalesce", "count", "date", "instr", "julianday", "length",
     "lower", "max", "min", "printf", "format", "round", "strftime", "substr", "sum", "trim",
     "upper", "like"}
)  # fmt: skip


class TooSlow(Exception):
    """A call took more than `MAX_STEPS`."""


def authorize(
    action: int, first: str | None, second: str | None, database: str | None, source: str | None
) -> int:
    """SQLite's authorizer: https://www.sqlite.org/c3ref/set_authorizer.html"""
    if action in _OF_TABLES:
        return _DENIED if first is not None and first.startswith("sqlite_") else _ADMITTED
    if action in _PLAIN or (action == _FUNCTION and second in _FUNCTIONS):
        return _ADMITTED
    return _DENIED


def connect() -> sqlite3.Connection:
    """A database in memory, open to everything: for tables and copies, before `close_in`."""
    return sqlite3.connect(":memory:", isolation_level=None, cached_statements=256,
                           check_same_thread=False)  # fmt: skip


class Budget:
    """Steps that the calls on one connection may take; `renew` before each."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 0
        self.renew()

    def renew(self) -> None:
        self._left = MAX_STEPS // _EVERY

    def spend(self) -> int:
        """The progress handler: anything but 0 ends the statement."""
        self._left -= 1
        return int(self._left < 0)


def close_in(db: sqlite3.Connection) -> Budget:
    """From here on, `db` keeps to the bounds above."""
    db.execute("PRAGMA foreign_keys = ON")
    for limit, value in _LIMITS:
        db.setlimit(limit, value)
    budget = Budget()
    db.set_progress_handler(budget.spend, _EVERY)
    db.set_authorizer(authorize)
    return budget
