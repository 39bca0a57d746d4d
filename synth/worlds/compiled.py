"""Worlds as they run: what the reader makes of a file. Immutable; any number of sessions share one.

Statements take their bindings by name: `p_x` is the parameter x, `l_x` the `let` x, `n_x` the key
of the inserted row x, `c_N` a literal of the file.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from nexau.arguments import ArgumentValidator
from nexau.latency.profiles import Profile
from nexau.synth.worlds.kinds import Kind
from nexau.synth.worlds.scope import Shape
from nexau.synth.worlds.structs import EntityForm, WorldForm

Bindings = dict[str, Any]


class Statement(Struct, frozen=True):
    sql: str
    bindings: Bindings
    """Of its literals; a call adds those of its parameters."""


class Column(Struct, frozen=True):
    """A value of a result."""

    name: str
    kind: Kind


class Template(Struct, frozen=True):
    """A text with values in it."""

    parts: tuple[str | int, ...]
    """Texts, and indexes of the statement's columns."""
    statement: Statement | None
    kinds: tuple[Kind, ...] = ()


class Select(Struct, frozen=True):
    """A query for rows, `:limit` and `:offset` of them; `total` counts all of them."""

    statement: Statement
    total: Statement
    columns: tuple[Column, ...]
    limit: int
    page: bool
    entity: str
    uses: frozenset[tuple[str, str]]


class RuleStep(Struct, frozen=True):
    error: str
    message: Template


class EffectStep(Struct, frozen=True):
    """One change. An insert of one row binds `n_NAME` to its key."""

    kind: str
    """insert, insert_each, update or delete."""
    entity: str
    statement: Statement
    when: Statement | None = None
    counter: bool = False
    """Whether an insert takes its key from the entity's sequence, bound as `k`."""
    source: Statement | None = None
    """The rows of an `insert_each`, whose columns `statement` takes as `v_0`, `v_1` and so on."""
    named: str = ""
    fields: tuple[str, ...] = ()
    """The fields that it writes."""


class Output(Struct, frozen=True):
    """What a call gives back."""

    row: Statement | None = None
    row_columns: tuple[Column, ...] = ()
    find: Select | None = None
    values: Statement | None = None
    value_columns: tuple[Column, ...] = ()
    lists: tuple[tuple[str, Select], ...] = ()
    names: tuple[str, ...] = ()
    """Of values and lists, in the order of the file."""
    shows: frozenset[tuple[str, str]] = frozenset()
    """Entities and fields that it looks at."""


class Body(Struct, frozen=True):
    """What a call does, in order."""

    parameters: Mapping[str, "Parameter"]
    exists: Statement | None
    references: tuple[tuple[str, str], ...]
    """Parameters and the entities that they name, as in `exists`."""
    lets: tuple[tuple[str, Statement], ...]
    rules: Statement | None
    rule_steps: tuple[RuleStep, ...]
    effects: tuple[EffectStep, ...]
    output: Output


class Parameter(Struct, frozen=True):
    name: str
    kind: Kind
    default: Any
    required: bool
    schema: dict[str, Any]


class Tool(Struct, frozen=True):
    name: str
    title: str | None
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    read_only: bool
    idempotent: bool
    destructive: bool
    open_world: bool
    body: Body
    validator: ArgumentValidator


class Resource(Struct, frozen=True):
    name: str
    uri: str
    """A URI, or a template with `{name}`."""
    description: str
    mime_type: str
    body: Body
    text: Template | None
    """None: the output as JSON."""


class Prompt(Struct, frozen=True):
    name: str
    description: str
    body: Body
    text: Template


class Entity(Struct, frozen=True):
    name: str
    shape: Shape
    form: EntityForm
    columns: tuple[str, ...]
    """Fields in the order of the file."""
    booleans: tuple[str, ...]
    """Those among them that SQLite holds as 0 and 1."""
    select: str
    """All rows, by key."""
    ddl: str
    indexes: tuple[str, ...]
    prefix: str | None
    """Of keys that are made by a sequence: `C-` of `C-{n}`; None where inserts give the key."""
    suffix: str
    start: int
    errors: Mapping[str, str]
    """Of constraints: what they say, by their code."""


class Computed(Struct, frozen=True):
    """A field of seeded rows that an expression gives."""

    entity: str
    field: str
    statement: Statement
    uses: frozenset[tuple[str, str]]
    """Entities and fields on which it depends."""


class World(Struct, frozen=True):
    name: str
    description: str
    today: str
    seed: int
    entities: Mapping[str, Entity]
    tools: Mapping[str, Tool]
    resources: Mapping[str, Resource]
    prompts: Mapping[str, Prompt]
    profile: Profile | None
    computed: tuple[Computed, ...]
    """In an order in which each finds what it depends on."""
    form: WorldForm

    def shapes(self) -> dict[str, Shape]:
        return {name: entity.shape for name, entity in self.entities.items()}
