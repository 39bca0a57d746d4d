"""The shape of a world file: one source for its reader, for `nexau schema world` and for the
tables in docs/worlds.md.
"""

from typing import Any, Literal

from msgspec import Meta, Struct, field

from nexau.definitions.structs import BOUNDS

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
WORLD_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"


class Make(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a field of the seeded rows gets its values: one of the first group, and conditions."""

    words: str | None = None
    """A vocabulary: `full_name`, `email`, `city` and so on (see Vocabularies)."""
    sequence: str | int | None = None
    """A number for each row, from this one on; as text, `C-{n}` with `start`. Inserts go on
    counting."""
    start: int = 1
    """The first `{n}`."""
    choice: list[Any] | dict[str, float] | None = None
    """One of these; as a mapping, with weights."""
    between: list[float] | None = None
    """Evenly from the first to the second number."""
    normal: list[float] | None = None
    """Mean and standard deviation."""
    lognormal: list[float] | None = None
    """Median, and the standard deviation of the logarithm."""
    exponential: float | None = None
    """Mean."""
    chance: float | None = None
    """True in this share of the rows."""
    days: list[int] | None = None
    """A date so many days from today, from the first to the second number."""
    after: str | None = None
    """A date field of the same row: `days` counts from there."""
    hours: list[int] | None = None
    """Of a date and time: the first and the last hour."""
    minutes: int = 30
    """Of a date and time: the step."""
    pick: Literal["even", "skewed", "each"] | None = None
    """Of a reference: every row alike, a few of them often, or each once in turn."""
    template: str | None = None
    """`{first_name}-{n}`: fields made before it, vocabularies, `n` the row's number."""
    compute: str | None = None
    """An expression on the finished row, in the order of the file, when all rows are there."""
    min: float | None = None
    """Drawn numbers are cut to it."""
    max: float | None = None
    """Drawn numbers are cut to it."""
    step: float | None = None
    """Drawn numbers are multiples of it."""
    missing: float = 0.0
    """The share of rows in which it is null."""
    when: dict[str, Any] = {}
    """Fields made before it, each with one value or a list: null in all other rows."""


class FieldForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A column. A reference is named `..._id`, and `...` follows it in expressions."""

    type: Literal["text", "integer", "number", "boolean", "date", "datetime"] | None = None
    """`text` without one. A reference has the type of the key it names."""
    ref: str | None = None
    """The entity whose key it holds."""
    values: list[str] | None = None
    """All that a text can be."""
    optional: bool = False
    """Whether it may be null."""
    unique: bool = False
    """Whether no two rows have the same."""
    min: float | None = None
    """Of a number; of a text, its length."""
    max: float | None = None
    """Of a number; of a text, its length."""
    default: Any = None
    """What a row gets that is inserted without it."""
    description: str = ""
    make: str | Make | None = None
    """How seeded rows get it. As text: a vocabulary."""


class Constraint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for every row."""

    check: str
    """A condition on the fields of the row."""
    error: str
    """The code of the error that a write gets which would break it."""
    message: str = ""
    """What the error says."""


class RowsPer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many rows for each row of another entity, which the reference to it names."""

    per: str
    between: list[int]
    """The least and the most."""


class EntityForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table."""

    description: str = ""
    key: str = "id"
    """The field that names a row."""
    rows: int | RowsPer = 0
    """Seeded rows, before scaling."""
    fields: dict[str, FieldForm]
    unique: list[list[str]] = []
    """Sets of fields that no two rows have alike."""
    constraints: list[Constraint] = []
    data: list[dict[str, Any]] = []
    """Rows that are given, not made, and not scaled."""


class ParameterForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An argument. With `ref` it is named `..._id`, and `...` is the row that it names; a call with
    a key that is not there fails with `no_such_ENTITY`."""

    type: Literal["text", "integer", "number", "boolean", "date", "datetime"] | None = None
    """`text` without one."""
    ref: str | None = None
    """The entity whose key it holds."""
    values: list[str] | None = None
    """All that it can be."""
    many: bool = field(name="list", default=False)
    """A list of them, for `in`."""
    optional: bool = False
    """Null when it is left out."""
    default: Any = None
    """Its value when it is left out."""
    min: float | None = None
    """Of a number; of a text, its length; of a list, its items."""
    max: float | None = None
    """Of a number; of a text, its length; of a list, its items."""
    pattern: str | None = None
    """A regular expression that a text matches."""
    description: str = ""


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A condition that has to hold, or the call fails and changes nothing."""

    require: str
    error: str
    """The code of the error."""
    message: str
    """What the error says; `{EXPR}` puts a value in."""


class Query(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rows of an entity: `{"rows": [...], "count": ..., "total": ...}`."""

    find: str
    """The entity."""
    named: str | None = None
    """What a row of it is called in expressions; without it, as the entity."""
    where: str | None = None
    """Which rows."""
    select: list[str] | dict[str, str] = []
    """Fields; or names and expressions. Without it, all fields."""
    group: dict[str, str] = {}
    """Names and expressions: one row for each combination, with `count()`, `sum(x)` and so on in
    `select`."""
    order: list[str] = []
    """Fields or expressions, each perhaps with `desc`. Rows that are equal follow by their key."""
    limit: int | None = None
    """The most rows, 100 without it."""
    page: int | None = None
    """Rows of a page: the tool gets the parameters `limit` (this, where it is left out) and
    `offset`. Of the tool's own query only."""


class Effect(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change: one of `insert`, `update` and `delete`. Each sees what those before it did."""

    insert: str | None = None
    """An entity: one row, or one for each row of `each`."""
    update: str | None = None
    """A row in scope; with `where`, all such rows of an entity."""
    delete: str | None = None
    """A row in scope; with `where`, all such rows of an entity."""
    set: dict[str, str | int | float | bool | None] = {}
    """Fields and expressions; a number, true, false or null stands for itself."""
    where: str | None = None
    each: str | None = None
    """The entity whose rows, those with `where`, an insert goes through."""
    named: str | None = None
    """What the row is called in expressions: the inserted one afterwards, or the one of `where`."""
    when: str | None = None
    """A condition without which nothing happens."""


class ToolForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tool: it reads, or, with `effects`, it writes. A call is whole or changes nothing."""

    description: str
    title: str | None = None
    parameters: dict[str, ParameterForm] = {}
    let: dict[str, str] = {}
    """Names for values, in order; taken before any effect."""
    rules: list[Rule] = []
    """In order; the first that does not hold is the error."""
    effects: list[Effect] = []
    row: str | None = None
    """A row in scope, whose fields are the result."""
    without: list[str] = []
    """Fields of `row` that are left out."""
    find: Query | None = None
    """Rows that are the result."""
    result: dict[str, str | int | float | bool | Query] = {}
    """More of the result: names with expressions, or with queries, which give lists of rows."""
    idempotent: bool | None = None
    """`idempotentHint`. A tool that only reads is."""
    destructive: bool | None = None
    """`destructiveHint`. Without it, whether something is deleted."""
    open_world: bool = False
    """`openWorldHint`."""


class ResourceForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A resource; with `parameters`, which stand in its URI as `{name}`, a resource template."""

    uri: str
    description: str = ""
    mime_type: str | None = None
    """Without it, text/plain for a text and application/json for the rest."""
    parameters: dict[str, ParameterForm] = {}
    text: str | None = None
    """A text; `{EXPR}` puts a value in."""
    row: str | None = None
    find: Query | None = None
    result: dict[str, str | int | float | bool | Query] = {}


class PromptForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A prompt: one message of the user."""

    description: str = ""
    parameters: dict[str, ParameterForm] = {}
    text: str
    """`{EXPR}` puts a value in."""


class LatencyForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Milliseconds: one of these."""

    fixed: float | None = None
    uniform: list[float] | None = None
    """Least and most."""
    lognormal: list[float] | None = None
    """Median, and the standard deviation of the logarithm."""
    exponential: float | None = None
    """Mean."""


class ErrorsForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rate: float
    """Share of the calls that fail as if the server could not be reached."""
    message: str = "temporarily unavailable, try again"


class ToolProfileForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    latency: LatencyForm | None = None
    errors: ErrorsForm | None = None


class ProfileForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long calls take and how often they fail."""

    latency: LatencyForm | None = None
    """Of every tool."""
    errors: ErrorsForm | None = None
    """Of every tool."""
    tools: dict[str, ToolProfileForm] = {}
    """Of single tools, in place of those of every tool."""
    recorded: str | None = None
    """A file that `nexau mcp record` wrote, relative to the world; in place of all others."""


class WorldForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A world: tables, tools that read and write them, and how they behave."""

    world: str
    """Its name."""
    description: str
    """What it is, for people; agents see it as the server's instructions."""
    today: str
    """The date on which its clock stands still; with `T09:30`, the time as well."""
    seed: int = 7
    """Of the seeded rows."""
    entities: dict[str, EntityForm]
    tools: dict[str, ToolForm]
    resources: dict[str, ResourceForm] = {}
    prompts: dict[str, PromptForm] = {}
    profile: ProfileForm = ProfileForm()
    tags: list[str] = []
    """Its domains, for catalogues."""
    schema: str | None = field(name="$schema", default=None)
    """For editors; not read."""


_NAME = Meta(pattern=NAME_PATTERN, description="a small letter, then up to 62 of a-z 0-9 _")
_KEY = Meta(
    pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$", description="a letter, then up to 62 of A-Z a-z 0-9 _"
)
_TEXT = Meta(min_length=1)
_SHARE = Meta(ge=0, le=1)
_COUNT = Meta(ge=1)
_CODE = _NAME

_BOUNDS: dict[tuple[type, str], Meta] = {
    (WorldForm, "world"): Meta(
        pattern=WORLD_PATTERN, description="a small letter, then up to 62 of a-z 0-9 _ -"
    ),
    (WorldForm, "description"): _TEXT,
    **{(WorldForm, key): _NAME for key in ("entities", "tools", "resources", "prompts")},
    (EntityForm, "fields"): _NAME,
    (EntityForm, "rows"): Meta(ge=0, le=100_000),
    (ToolForm, "description"): _TEXT,
    **{(each, "parameters"): _NAME for each in (ToolForm, ResourceForm, PromptForm)},
    **{(each, "result"): _KEY for each in (ToolForm, ResourceForm)},
    (ToolForm, "let"): _NAME,
    (Rule, "error"): _CODE,
    (Constraint, "error"): _CODE,
    (Rule, "message"): _TEXT,
    (ErrorsForm, "rate"): _SHARE,
    (Make, "chance"): _SHARE,
    (Make, "missing"): _SHARE,
    (Make, "minutes"): Meta(ge=1, le=720),
    (Query, "group"): _NAME,
    (Query, "limit"): Meta(ge=1, le=1000),
    (Query, "page"): Meta(ge=1, le=100),
    (Query, "named"): _NAME,
    (Effect, "named"): _NAME,
    (ResourceForm, "uri"): Meta(
        pattern=r"^[a-z][a-z0-9+.-]*://\S+$", description="a URI, as shop://orders/{order_id}"
    ),
}
BOUNDS.update(_BOUNDS)
