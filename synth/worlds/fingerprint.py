"""What a world is made of, whatever its things are called: a hash of its structure.

Entities are told apart by their fields' types and by how they refer to each other (colours refined
as Weisfeiler and Lehman do); tools by their parameters, the shapes of their rules' and effects'
expressions, and their results. Names, texts and numbers do not count. Equal structures have equal
hashes; that no two others have is not proven, only likely, so a few may be taken for duplicates.
"""

import hashlib
from functools import lru_cache
from typing import Any

from nexau.synth.worlds.compiled import Tool, World
from nexau.synth.worlds.expressions import Aggregate, Call, Expr, Literal, Name, parse
from nexau.synth.worlds.kinds import Kind
from nexau.synth.worlds.structs import ToolForm

_ROUNDS = 3


def structure(world: World) -> str:
    """32 hexadecimal digits."""
    colours = _colours(world)
    tools = sorted(_tool(world, tool, colours) for tool in world.tools.values())
    return _hash([sorted(colours.values()), tools])


def _hash(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()


def _colours(world: World) -> dict[str, str]:
    colours: dict[str, str] = {}
    for name, entity in world.entities.items():
        form = entity.form
        fields = sorted(
            (kind.name, kind.null, len(kind.values), form.fields[field].unique,
             form.fields[field].default is not None, field == entity.shape.key)
            for field, kind in entity.shape.fields.items()
            if not kind.entity or field == entity.shape.key
        )  # fmt: skip
        sets = sorted(map(len, form.unique))
        colours[name] = _hash([fields, sets, [_shape(each.check) for each in form.constraints]])
    for _ in range(_ROUNDS):
        colours = {name: _refined(world, name, colours) for name in world.entities}
    return colours


def _refined(world: World, name: str, colours: dict[str, str]) -> str:
    entity = world.entities[name]
    out = sorted(
        (colours[target], entity.shape.fields[field].null)
        for field, target in entity.shape.references.values()
    )
    back = sorted(
        colours[other.name]
        for other in world.entities.values()
        for _, target in other.shape.references.values()
        if target == name
    )
    return _hash([colours[name], out, back])


def _tool(world: World, tool: Tool, colours: dict[str, str]) -> str:
    form: ToolForm = world.form.tools[tool.name]
    parameters = sorted(
        (*_kind(each.kind, colours), each.required) for each in tool.body.parameters.values()
    )
    rules = sorted(_shape(rule.require) for rule in form.rules)
    effects = [
        (step.kind, colours[step.entity], sorted(
            (*_kind(world.entities[step.entity].shape.fields[field], colours),
             _shape(effect.set.get(field)))
            for field in step.fields), _shape(effect.where), _shape(effect.when))
        for step, effect in zip(tool.body.effects, form.effects, strict=True)
    ]  # fmt: skip
    made = tool.body.output
    result = [
        sorted(_kind(each.kind, colours) for each in (*made.row_columns, *made.value_columns)),
        sorted(_shape(each) for each in form.result.values() if not hasattr(each, "find")),
    ]
    queries = [each for each in (made.find, *(select for _, select in made.lists)) if each]
    result += [
        [colours[each.entity], sorted(_kind(column.kind, colours) for column in each.columns)]
        for each in queries
    ]
    where = _shape(form.find.where) if form.find is not None else ""
    return _hash(
        [parameters, rules, effects, result, where, sorted(map(_shape, form.let.values()))]
    )


def _kind(kind: Kind, colours: dict[str, str]) -> tuple[str, bool, int, str]:
    return kind.name, kind.null, len(kind.values), colours.get(kind.entity, "")


def _shape(text: Any) -> str:
    """An expression without its names and values."""
    return _expression(text) if isinstance(text, str) else type(text).__name__


@lru_cache(maxsize=4096)
def _expression(text: str) -> str:
    return _tree(parse(text))


def _tree(expr: Expr) -> str:
    if isinstance(expr, Literal):
        return type(expr.value).__name__
    if isinstance(expr, Name):
        return "name"
    parts: list[str] = []
    for field in expr.__struct_fields__:
        value = getattr(expr, field)
        if isinstance(value, Expr):
            parts.append(_tree(value))
        elif isinstance(value, tuple):
            parts += [_tree(each) for each in value]
        elif field in {"sign", "negated", "function"}:
            parts.append(str(value))
    head = expr.name if isinstance(expr, Call) else type(expr).__name__
    over = "over" if isinstance(expr, Aggregate) and expr.entity else ""
    return f"{head}{over}({','.join(parts)})"
