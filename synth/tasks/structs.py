"""What a task is made of: calls that were really made, and where each argument came from."""

from typing import Any, Literal

from msgspec import Struct


class Param(Struct, frozen=True):
    """A parameter of a tool."""

    name: str
    required: bool
    schema: dict[str, Any]
    ref: str = ""
    """The noun whose key it takes: an entity of a world, or what its name says."""

    @property
    def values(self) -> tuple[Any, ...]:
        """All that it can be, where the schema lists it."""
        return tuple(self.schema.get("enum") or ())

    @property
    def kind(self) -> str:
        found = self.schema.get("type", "string")
        return str(found if isinstance(found, str) else found[0])


class Tool(Struct, frozen=True):
    """A tool of a source, with what can be known of it before it is called."""

    server: str
    name: str
    description: str
    reads: bool
    params: tuple[Param, ...]
    noun: str
    """What it is about, in the singular: `order`."""
    makes: str = ""
    """What it adds, where it adds something."""
    seen: str = ""
    """The name under which agents see it, where that is another."""

    @property
    def shown(self) -> str:
        """The name by which plans call it."""
        return self.seen or self.name

    def param(self, name: str) -> Param:
        return next(param for param in self.params if param.name == name)


class Leaf(Struct, frozen=True):
    """A value in a result."""

    pointer: str
    name: str
    value: Any
    noun: str = ""
    """The noun whose key it is."""


class Reply(Struct, frozen=True):
    """What a call brought back."""

    body: Any
    leaves: tuple[Leaf, ...] = ()
    error: str = ""
    """Its code or class, where it failed."""
    message: str = ""


class Given(Struct, frozen=True, tag="request"):
    """An argument that the request says."""

    value: Any
    fixed: bool = False
    """Said word for word, as the text of a note."""


class Found(Struct, frozen=True, tag="result"):
    """An argument that an earlier call brought back."""

    call: str
    pointer: str
    value: Any


Argument = Given | Found


class Step(Struct, frozen=True):
    """A call of the plan."""

    id: str
    tool: Tool
    arguments: dict[str, Argument]

    @property
    def values(self) -> dict[str, Any]:
        return {name: argument.value for name, argument in self.arguments.items()}

    @property
    def needs(self) -> frozenset[str]:
        """Ids of the calls that it takes arguments from."""
        return frozenset(a.call for a in self.arguments.values() if isinstance(a, Found))


class Fact(Struct, frozen=True):
    """Something that the answer has to hold."""

    label: str
    """What it is, in words: `status`."""
    value: Any
    call: str = ""
    pointer: str = ""
    """Where it stands; empty for what has to be worked out."""


GoalKind = Literal[
    "look", "count", "most", "compare", "total", "constrain", "contradict", "resolve", "change",
    "carry", "refused", "chat", "alien",
]  # fmt: skip


class Operand(Struct, frozen=True):
    """One of several values that meet in a goal: a field of a result, or the length of a list."""

    call: str
    pointer: str
    """Of the field, or of the list."""
    value: Any
    counted: bool = False
    """Whether it is the number of rows at `pointer`."""


class Goal(Struct, frozen=True):
    """One thing that the request asks for."""

    kind: GoalKind
    target: str
    """Id of the call that reaches it; empty where no call does."""
    facts: tuple[Fact, ...] = ()
    others: tuple[str, ...] = ()
    """Ids of further calls that meet in it."""
    field: str = ""
    """The field that is compared, summed or sorted by."""
    detail: str = ""
    """The direction of a comparison, the list that is counted, the text of a chat."""
    said: str = ""
    """The value that counted rows have in `field`."""
    operands: tuple[Operand, ...] = ()
    """What meets in it where branches come from different servers: each with a field of its own."""


class Attempt(Struct, frozen=True):
    """One way to call a tool, and what came of it."""

    tool: Tool
    arguments: dict[str, Any]
    reply: Reply
    links: dict[str, tuple["Attempt", str]] = {}
    """Arguments that another attempt brought, and where in its result."""


class Draft(Struct):
    """A task while it is made."""

    steps: list[Step]
    goals: list[Goal]
    replies: dict[str, Reply] = {}
    """What each call brought back when the plan was executed as a whole."""

    def step(self, call: str) -> Step:
        return next(step for step in self.steps if step.id == call)
