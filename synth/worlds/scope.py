"""What is in scope for an expression: entities, rows and values by name."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from nexau.synth.worlds.kinds import Kind


class Shape(Struct, frozen=True):
    """What expressions have to know of an entity."""

    name: str
    key: str
    fields: Mapping[str, Kind]
    references: Mapping[str, tuple[str, str]]
    """`customer`: the field `customer_id` and the entity that it names."""


class Row(Struct, frozen=True):
    """A row in scope: one of a query, by its alias, or one that is bound, by its key."""

    entity: str
    alias: str = ""
    key: str = ""
    """SQL of the key."""
    null: bool = False
    """Whether there may be no such row."""


class Value(Struct, frozen=True):
    kind: Kind
    sql: str


class Scope(Struct, frozen=True):
    values: Mapping[str, Value] = {}
    """Parameters and `let`s."""
    rows: Mapping[str, Row] = {}
    grouped: bool = False
    """Whether `count()`, `sum(x)` and so on speak of the rows of a group."""
    fields_of: str = ""
    """The row whose fields may be named without it."""

    def with_row(self, name: str, row: Row) -> "Scope":
        return msgspec.structs.replace(self, rows={**self.rows, name: row})

    def with_value(self, name: str, value: Value) -> "Scope":
        return msgspec.structs.replace(self, values={**self.values, name: value})
