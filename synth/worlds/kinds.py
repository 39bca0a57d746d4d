"""Types of values in worlds, and how each is stored, written and checked."""

import re
from datetime import date, datetime
from typing import Any, Literal, get_args

from msgspec import Struct

KindName = Literal["text", "integer", "number", "boolean", "date", "datetime"]
KIND_NAMES: tuple[str, ...] = get_args(KindName)

DATE = re.compile(r"\d{4}-\d\d-\d\d")
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
DATE_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
DATETIME_PATTERN = DATE_PATTERN[:-1] + r"T([01]\d|2[0-3]):[0-5]\d$"
NUMERIC = ("integer", "number")
COLUMN = {"text": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "INTEGER",
          "date": "TEXT", "datetime": "TEXT"}  # fmt: skip


class Kind(Struct, frozen=True, gc=False):
    """The type of an expression, a field or a parameter."""

    name: str
    """One of `KIND_NAMES`, or `null` for the literal."""
    null: bool = False
    """Whether it may be null."""
    values: tuple[str, ...] = ()
    """All that a text can be, where that is known."""
    entity: str = ""
    """The entity whose key this value is."""
    many: bool = False
    """A list of them: parameters only."""

    def maybe(self, null: bool = True) -> "Kind":
        return Kind(self.name, self.null or null, self.values, self.entity, self.many)

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema as an output."""
        kinds = {"text": "string", "date": "string", "datetime": "string"}
        plain: str = kinds.get(self.name, self.name)
        made: dict[str, Any] = {"type": [plain, "null"] if self.null else plain}
        if self.values:
            made["enum"] = [*self.values, None] if self.null else list(self.values)
        return made


class Sql(Struct, frozen=True, gc=False):
    """A compiled expression."""

    text: str
    kind: Kind
    literal: str | int | float | None = None
    """The value, where it is a literal of the expression."""


TEXT = Kind("text")
INTEGER = Kind("integer")
NUMBER = Kind("number")
BOOLEAN = Kind("boolean")
DAY = Kind("date")
MOMENT = Kind("datetime")
NULL = Kind("null", null=True)


def is_date(text: str) -> bool:
    if not DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_datetime(text: str) -> bool:
    """`2026-03-02T09:30`: minutes, and no zone."""
    if not DATETIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value of a file or a call is of `kind`."""
    if value is None:
        return kind.null
    if kind.many:
        single = Kind(kind.name, values=kind.values)
        return isinstance(value, list) and all(fits(item, single) for item in value)
    if kind.name == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind.name == "integer":
        return isinstance(value, int) and -(2**63) <= value < 2**63
    if kind.name == "number":
        return isinstance(value, int | float)
    if not isinstance(value, str) or "\0" in value:
        return False
    if kind.values:
        return value in kind.values
    return (
        kind.name == "text"
        or (kind.name == "date" and is_date(value))
        or (kind.name == "datetime" and is_datetime(value))
    )


_WORDS = {"text": "text", "integer": "a whole number", "number": "a number",
          "boolean": "true or false", "date": "a date", "datetime": "a date and time",
          "null": "null"}  # fmt: skip


def words(kind: Kind) -> str:
    """A type, for a message."""
    return f"a list of {kind.name}" if kind.many else _WORDS[kind.name]
