"""Entities of world files: their shapes, what is wrong with them, and their tables."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nexau.files.forms import INVALID
from nexau.files.nearest import hint, nearest
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import Computed, Entity, Statement
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.expressions import ExpressionError, parse
from nexau.synth.worlds.givenrows import check_rows
from nexau.synth.worlds.kinds import COLUMN, NUMERIC, Kind, fits, words
from nexau.synth.worlds.quoting import literal, quoted
from nexau.synth.worlds.scope import Row, Scope, Shape
from nexau.synth.worlds.sql import Compiler
from nexau.synth.worlds.structs import Constraint, EntityForm, FieldForm, Make

_SEQUENCE = re.compile(r"([^{}]*)\{n\}([^{}]*)")
_RESERVED = frozenset({"world", "sqlite_master", "sqlite_schema"})


def shapes(context: Context, forms: Mapping[str, EntityForm]) -> dict[str, Shape]:
    """What expressions have to know, before anything is compiled."""
    keys = {name: _key_kind(context, name, form) for name, form in forms.items()}
    made: dict[str, Shape] = {}
    for name, form in forms.items():
        fields: dict[str, Kind] = {}
        references: dict[str, tuple[str, str]] = {}
        for field, it in form.fields.items():
            if it is INVALID:
                fields[field] = Kind("text")
                continue
            fields[field] = _kind(context, keys, it, ("entities", name, "fields", field), field)
            target = named(it.ref, keys)
            if target is not None and field.endswith("_id"):
                references[field[:-3]] = (field, target)
        # Reported already where it is missing; the first field stands for it.
        key = form.key if form.key in fields else next(iter(fields))
        fields[key] = Kind(fields[key].name, False, fields[key].values, entity=name)
        made[name] = Shape(name, key, fields, references)
    return made


def named(name: str | None, entities: Iterable[str]) -> str | None:
    """The entity that a name means, so that one slip is told once: the nearest, if none is it."""
    if name is None:
        return None
    return name if name in set(entities) else nearest(name, entities)


def _key_kind(context: Context, name: str, form: EntityForm) -> Kind:
    trail: Trail = ("entities", name)
    if name in _RESERVED or name.startswith("sqlite"):
        context.wrong(trail, f"the name {name} is taken")
    key: Any = form.fields.get(form.key)
    if key is None:
        mend = hint(form.key, form.fields, "it has")
        context.wrong((*trail, "key"), f"no field {form.key!r} in fields{mend}")
        return Kind("integer", entity=name)
    if key is INVALID:
        return Kind("text", entity=name)
    place = (*trail, "fields", form.key)
    if key.optional:
        context.wrong((*place, "optional"), "a key is never null")
    if key.ref is not None:
        context.wrong((*place, "ref"), "a key is no reference")
    if key.type not in (None, "text", "integer"):
        context.wrong((*place, "type"), f"a key is text or integer, not {key.type}")
    return Kind(_own_type(key), entity=name)


def _own_type(form: FieldForm) -> str:
    """Without `type`, a sequence of numbers makes an integer."""
    sequence = form.make.sequence if isinstance(form.make, Make) else None
    return form.type or ("integer" if isinstance(sequence, int) else "text")


def _kind(
    context: Context, keys: Mapping[str, Kind], form: FieldForm, trail: Trail, name: str
) -> Kind:
    if form.ref is None:
        if form.values is not None and form.type not in (None, "text"):
            context.wrong((*trail, "values"), f"`values` are for text, this is {form.type}")
        if form.values is not None and not form.values:
            context.wrong((*trail, "values"), "expected at least one value")
        kind = Kind(_own_type(form), form.optional, tuple(form.values or ()))
    elif form.ref not in keys:
        mend = hint(form.ref, keys, "there are")
        context.wrong((*trail, "ref"), f"no entity {form.ref!r}{mend}")
        target = named(form.ref, keys)
        kind = Kind(keys[target].name if target else "text", form.optional, entity=target or "")
    else:
        if not name.endswith("_id"):
            context.wrong(trail, f"a field with `ref` ends in _id, as {name}_id")
        if form.type is not None or form.values is not None:
            context.wrong(trail, "a field with `ref` has the type of the key that it names")
        kind = Kind(keys[form.ref].name, form.optional, entity=form.ref)
    if form.default is not None and not fits(form.default, kind):
        context.wrong((*trail, "default"), f"expected {words(kind)}, got {form.default!r}")
    bounded = form.min is not None or form.max is not None
    if bounded and kind.name not in ("text", *NUMERIC):
        context.wrong(trail, f"min and max are not for {words(kind)}")
    if form.min is not None and form.max is not None and form.min > form.max:
        context.wrong((*trail, "min"), "min is greater than max")
    return kind


def compile_entity(context: Context, form: EntityForm, shape: Shape) -> Entity:
    trail: Trail = ("entities", shape.name)
    errors: dict[str, str] = {}
    constraints = [
        f'CONSTRAINT "{each.error}" CHECK ({sql})'
        for index, each in enumerate(form.constraints)
        if isinstance(each, Constraint)
        and (sql := _constraint(context, shape, each, (*trail, "constraints", index)))
    ]
    for each in form.constraints:
        if isinstance(each, Constraint):
            errors[each.error] = each.message or f"{shape.name}: {each.check} does not hold"
    for index, group in enumerate(form.unique):
        for field in group:
            if field not in shape.fields:
                mend = hint(str(field), shape.fields, "it has")
                context.wrong((*trail, "unique", index), f"no field {field!r}{mend}")
        constraints.append(f"UNIQUE ({', '.join(quoted(f) for f in group if f in shape.fields)})")
    columns = [_column(shape, name, form.fields[name]) for name in shape.fields
               if form.fields[name] is not INVALID]  # fmt: skip
    rowid = "" if shape.fields.get(shape.key, Kind("")).name == "integer" else " WITHOUT ROWID"
    ddl = f"CREATE TABLE {quoted(shape.name)} ({', '.join((*columns, *constraints))}) STRICT"
    indexes = tuple(
        f"CREATE INDEX {quoted(f'{shape.name}__{field}')} ON {quoted(shape.name)} ({quoted(field)})"
        for field, _ in shape.references.values()
        if not form.fields[field].unique
    )
    prefix, suffix, start = _sequence(context, form, trail)
    check_rows(context, form, shape, trail)
    return Entity(
        shape.name,
        shape,
        form,
        tuple(shape.fields),
        tuple(name for name, kind in shape.fields.items() if kind.name == "boolean"),
        f"SELECT {', '.join(map(quoted, shape.fields))} FROM {quoted(shape.name)} "
        f"ORDER BY {quoted(shape.key)}",
        f"{ddl}{',' * bool(rowid)}{rowid}",
        indexes,
        prefix,
        suffix,
        start,
        errors,
    )


def computed(context: Context, form: EntityForm, shape: Shape) -> list[Computed]:
    """The fields whose seeded values are expressions."""
    trail: Trail = ("entities", shape.name)
    made: list[Computed] = []
    for name, field in form.fields.items():
        if not isinstance(field, FieldForm) or not isinstance(field.make, Make):
            continue
        if field.make.compute is None:
            continue
        compiler = context.compiler()
        scope = Scope(rows={shape.name: Row(shape.name, "t0")}, fields_of=shape.name)
        place = (*trail, "fields", name, "make", "compute")
        sql = context.value(compiler, field.make.compute, scope, shape.fields[name], place)
        if sql is not None:
            statement = Statement(sql.text, compiler.bindings)
            made.append(Computed(shape.name, name, statement, frozenset(compiler.used)))
    return made


def in_order(context: Context, fields: list[Computed]) -> tuple[Computed, ...]:
    """Each after those that it depends on; complains of circles."""
    left = {(each.entity, each.field): each for each in fields}
    ordered: list[Computed] = []
    while left:
        ready = [at for at, each in left.items() if not each.uses & left.keys()]
        if not ready:
            for entity, field in left:
                trail = ("entities", entity, "fields", field, "make", "compute")
                context.wrong(trail, "the computed fields depend on each other in a circle")
            break
        ordered += [left.pop(at) for at in ready]
    return tuple(ordered)


def _constraint(context: Context, shape: Shape, form: Constraint, trail: Trail) -> str | None:
    compiler = Compiler(context.entities, context.today, inline=True, closed=True)
    scope = Scope(rows={shape.name: Row(shape.name, quoted(shape.name))}, fields_of=shape.name)
    try:
        return compiler.condition(parse(form.check), scope)
    except ExpressionError as error:
        message = f"{error.message} (character {error.at + 1})"
        context.wrong((*trail, "check"), message)
        return None


def _column(shape: Shape, name: str, form: FieldForm) -> str:
    kind = shape.fields[name]
    column = quoted(name)
    parts = [column, COLUMN[kind.name]]
    if name == shape.key:
        parts.append("PRIMARY KEY")
    if not kind.null:
        parts.append("NOT NULL")
    if form.unique and name != shape.key:
        parts.append("UNIQUE")
    if form.default is not None:
        parts.append(f"DEFAULT {literal(form.default)}")
    tests = [*_tests(column, kind, form)]
    if tests:
        test = " AND ".join(tests)
        parts.append(f'CONSTRAINT "invalid_{name}" CHECK ({test})')
    for field, target in shape.references.values():
        if field == name:
            parts.append(f"REFERENCES {quoted(target)}")
    return " ".join(parts)


def _tests(column: str, kind: Kind, form: FieldForm) -> list[str]:
    tests: list[str] = []
    if kind.values:
        tests.append(f"{column} IN ({', '.join(map(literal, kind.values))})")
    measured = f"length({column})" if kind.name == "text" else column
    if form.min is not None:
        tests.append(f"{measured} >= {form.min!r}")
    if form.max is not None:
        tests.append(f"{measured} <= {form.max!r}")
    if kind.name == "boolean":
        tests.append(f"{column} IN (0, 1)")
    elif kind.name == "date":
        tests.append(f"{column} IS date({column})")
    elif kind.name == "datetime":
        tests.append(f"{column} IS strftime('%Y-%m-%dT%H:%M', {column})")
    return tests


def _sequence(context: Context, form: EntityForm, trail: Trail) -> tuple[str | None, str, int]:
    key: Any = form.fields.get(form.key)
    if key is None or key is INVALID or not isinstance(key.make, Make):
        return None, "", 1
    sequence, place = key.make.sequence, (*trail, "fields", form.key, "make", "sequence")
    if sequence is None:
        return None, "", 1
    if isinstance(sequence, int):
        if _own_type(key) != "integer":
            context.wrong(place, "the sequence of a text needs a form, as C-{n}")
        return "", "", sequence
    found = _SEQUENCE.fullmatch(sequence)
    if found is None:
        context.wrong(place, "expected one {n}, as in C-{n}")
        return "", "", key.make.start
    if _own_type(key) != "text":
        context.wrong(place, "the sequence of an integer is the number to start with")
    return found[1], found[2], key.make.start
