"""World files (docs/worlds.md) to worlds: every problem at once, nothing run."""

import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.arguments import ArgumentValidator
from nexau.definitions.values import DefinitionError
from nexau.files.forms import INVALID, Complain, describe, read_struct
from nexau.files.nearest import hint
from nexau.files.paths import siblings
from nexau.files.problems import Problem, Trail, cut, display, show
from nexau.files.yamlnodes import MAX_BYTES, Node, Unreadable, parse
from nexau.latency.profiles import Profile
from nexau.synth.worlds.bodies import (
    Made,
    compile_reading,
    compile_tool,
    output_schema,
)
from nexau.synth.worlds.compiled import Entity, Prompt, Resource, Tool, World
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.entities import compile_entity, computed, in_order, shapes
from nexau.synth.worlds.kinds import is_date, is_datetime
from nexau.synth.worlds.parameters import object_schema
from nexau.synth.worlds.profile import compile_profile
from nexau.synth.worlds.structs import (
    EntityForm,
    FieldForm,
    PromptForm,
    ResourceForm,
    ToolForm,
    WorldForm,
)

_IN_URI = re.compile(r"\{([^{}]*)\}")
RESERVED_TOOLS = ("world_reset",)


class WorldFileError(DefinitionError):
    """A world that cannot be used, with every problem in it, one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def load_world(path: str | Path) -> World:
    """The world of a YAML or JSON file. Raises `WorldFileError`, a `DefinitionError`."""
    world, problems = read_world(Path(path))
    if world is None or problems:
        raise WorldFileError(problems)
    return world


def read_world(path: Path) -> tuple[World | None, list[Problem]]:
    """A world as far as it can be made, and what is wrong with it, by line."""
    label = cut(display(path), 200)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        near = hint(path.name, siblings(path), "there are")
        return None, [Problem(label, 0, 0, "", f"no such file{near}")]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return None, [Problem(label, 0, 0, "", f"cannot be read: {reason}")]
    return parse_world(data, label, path.parent, json=path.suffix == ".json")


def parse_world(
    data: bytes, label: str, base: Path | None = None, *, json: bool = False
) -> tuple[World | None, list[Problem]]:
    """As `read_world`, of text; `label` stands for the file, and `base` is where paths start."""
    problems: dict[Problem, None] = {}

    def report(trail: Trail, message: str, place: tuple[int, int]) -> None:
        problems[Problem(label, *place, show(trail), message)] = None

    try:
        node = parse(data, report, json=json)
    except Unreadable as error:
        return None, [Problem(label, error.line, error.column, "", error.message)]
    world = compile_world(node, label, problems, base)
    return world, sorted(problems, key=lambda each: (each.line, each.column))


def compile_world(
    node: Node, label: str, problems: dict[Problem, None], base: Path | None = None
) -> World | None:
    """A world from a tree of values; None where it is none at all."""

    def complain(trail: Trail, message: str, place: tuple[int, int] | None) -> None:
        line, column = place or node.at(trail)
        problems[Problem(label, line, column, show(trail), message)] = None

    if not isinstance(node.value, dict):
        complain((), f"expected a mapping with `world`, got {describe(node.value)}", None)
        return None
    form = read_struct(node, WorldForm, (), complain)
    assert isinstance(form, WorldForm)
    return _Builder(_scrubbed(form) if problems else form, complain, base).world()


def world_of_value(value: Any, label: str = "world") -> tuple[World | None, list[Problem]]:
    """A world from a plain value in the keys of a file, as a program makes one: without places.

    What msgspec admits at once is not read piece by piece, which costs several times as much.
    """
    problems: dict[Problem, None] = {}

    def complain(trail: Trail, message: str, _: tuple[int, int] | None) -> None:
        problems[Problem(label, 0, 0, show(trail), message)] = None

    try:
        form = msgspec.convert(value, WorldForm)
    except msgspec.ValidationError:
        data = msgspec.json.encode(value)
        world, found = parse_world(data, label, json=True)
        return world, [Problem(label, 0, 0, each.path, each.message) for each in found]
    world = _Builder(form, complain, None).world()
    return world, list(problems)


_PLACED = ("rules", "effects", "constraints")
"""Lists whose items are complained of by their place, so that bad ones stay in them."""


def _scrubbed(value: Any, key: str = "") -> Any:
    """Without bad items of lists and with plain fields for bad ones: both are reported already."""
    if isinstance(value, Struct):
        names = value.__struct_fields__
        return type(value)(**{name: _scrubbed(getattr(value, name), name) for name in names})
    if isinstance(value, dict):
        blank = FieldForm(optional=True) if key == "fields" else INVALID
        return {name: blank if item is INVALID else _scrubbed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value if item is not INVALID or key in _PLACED]
    return value


class _Builder:
    def __init__(self, form: WorldForm, complain: Complain, base: Path | None) -> None:
        self._form = form
        self._base = base
        self._forms: dict[str, EntityForm] = {
            name: each
            for name, each in _items(form.entities)
            if isinstance(each, EntityForm) and each.fields
        }
        for name, each in _items(form.entities):
            if isinstance(each, EntityForm) and not each.fields:
                complain(("entities", name, "fields"), "expected at least one field", None)
        blank = Context({}, "2000-01-01", complain)
        self._today = self._clock(blank)
        first = Context(dict.fromkeys(self._forms), self._today, complain)  # type: ignore[arg-type]
        self._context = Context(shapes(first, self._forms), self._today, complain)

    def _clock(self, context: Context) -> str:
        today = self._form.today
        if is_date(today) or is_datetime(today):
            return today
        if today:
            context.wrong(("today",), f"expected a date, as 2026-03-02, got {today!r}")
        return "2000-01-01"

    def world(self) -> World:
        form = self._form
        entities: dict[str, Entity] = {
            name: compile_entity(self._context, each, self._context.entities[name])
            for name, each in self._forms.items()
        }
        if not entities and not form.entities:
            self._context.wrong(("entities",), "expected at least one entity")
        self._no_circle_of_rows()
        tools = {
            name: self._tool(name, each)
            for name, each in _items(form.tools)
            if isinstance(each, ToolForm)
        }
        if not form.tools:
            self._context.wrong(("tools",), "expected at least one tool")
        resources = {
            name: self._resource(name, each)
            for name, each in _items(form.resources)
            if isinstance(each, ResourceForm)
        }
        prompts = {
            name: self._prompt(name, each)
            for name, each in _items(form.prompts)
            if isinstance(each, PromptForm)
        }
        profile = self._profile(tools)
        made = [
            each
            for name, entity in self._forms.items()
            for each in computed(self._context, entity, self._context.entities[name])
        ]
        return World(form.world, form.description, self._today, form.seed, entities, tools,
                     resources, prompts, profile, in_order(self._context, made), form)  # fmt: skip

    def _profile(self, tools: dict[str, Tool]) -> Profile | None:
        return compile_profile(self._context, self._form.profile, tools, self._base)

    def _no_circle_of_rows(self) -> None:
        """Rows for each row of another entity, which has rows for each row of this one."""
        for name in self._forms:
            seen = [name]
            while True:
                rows: Any = self._forms[seen[-1]].rows
                per = getattr(rows, "per", None)
                if per not in self._forms:
                    break
                if per in seen:
                    circle = " -> ".join([*seen, per])
                    self._context.wrong(("entities", name, "rows", "per"), f"a circle: {circle}")
                    break
                seen.append(per)

    def _tool(self, name: str, form: ToolForm) -> Tool:
        trail: Trail = ("tools", name)
        if name in RESERVED_TOOLS:
            self._context.wrong(trail, f"the name {name} is taken by the server")
        made = compile_tool(self._context, self._forms, form, trail)
        schema = object_schema(made.body.parameters)
        reads = not form.effects
        deletes = any(step.kind == "delete" for step in made.body.effects)
        return Tool(
            name,
            form.title,
            form.description,
            schema,
            output_schema(made.body.output),
            reads,
            reads if form.idempotent is None else form.idempotent,
            (deletes if form.destructive is None else form.destructive) and not reads,
            form.open_world,
            made.body,
            self._validator(schema, trail),
        )

    def _validator(self, schema: dict[str, Any], trail: Trail) -> ArgumentValidator:
        try:
            return ArgumentValidator(schema)
        except DefinitionError as error:  # a pattern that is no regular expression
            self._context.wrong((*trail, "parameters"), str(error))
            return ArgumentValidator({})

    def _resource(self, name: str, form: ResourceForm) -> Resource:
        trail: Trail = ("resources", name)
        made = compile_reading(self._context, form, trail)
        text = None
        if form.text is not None:
            text = self._context.template(form.text, made.scope, (*trail, "text"))
            if form.row or form.find or form.result:
                self._context.wrong(trail, "a resource is a text, or `row`, `find` and `result`")
        elif not (form.row or form.find or form.result):
            self._context.wrong(trail, "a resource has a `text`, `row`, `find` or `result`")
        named = _IN_URI.findall(form.uri)
        if sorted(named) != sorted(made.body.parameters):
            listed = ", ".join(made.body.parameters) or "none"
            self._context.wrong((*trail, "uri"), f"its {{names}} are the parameters: {listed}")
        if form.uri.startswith("world:"):
            self._context.wrong((*trail, "uri"), "URIs with `world:` are the server's own")
        kind = form.mime_type or ("text/plain" if text is not None else "application/json")
        return Resource(name, form.uri, form.description, kind, made.body, text)

    def _prompt(self, name: str, form: PromptForm) -> Prompt:
        trail: Trail = ("prompts", name)
        made: Made = compile_reading(self._context, form, trail)
        text = self._context.template(form.text, made.scope, (*trail, "text"))
        return Prompt(name, form.description, made.body, text)


def _items(mapping: Any) -> list[tuple[str, Any]]:
    """Of a mapping that may have been reported as something else."""
    return list(mapping.items()) if isinstance(mapping, dict) else []
