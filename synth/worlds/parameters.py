"""Parameters of tools, resources and prompts: their schema, and what they put in scope."""

from collections.abc import Mapping
from typing import Any

from nexau.files.forms import INVALID
from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import Parameter
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.entities import named
from nexau.synth.worlds.kinds import (
    DATE_PATTERN,
    DATETIME_PATTERN,
    NUMERIC,
    Kind,
    fits,
    words,
)
from nexau.synth.worlds.scope import Row, Scope, Value
from nexau.synth.worlds.structs import ParameterForm

_SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date", "pattern": DATE_PATTERN},
    "datetime": {"type": "string", "pattern": DATETIME_PATTERN},
}
_MAX_TEXT = 4_000
_MAX_ITEMS = 100


def compile_parameters(
    context: Context, forms: Mapping[str, ParameterForm], trail: Trail
) -> tuple[dict[str, Parameter], Scope]:
    parameters: dict[str, Parameter] = {}
    values: dict[str, Value] = {}
    rows: dict[str, Row] = {}
    for name, form in forms.items():
        if form is INVALID:  # reported already
            continue
        place = (*trail, name)
        kind = _kind(context, name, form, place)
        _check(context, kind, form, place)
        required = not form.optional and form.default is None
        parameters[name] = Parameter(name, kind, form.default, required, _schema(kind, form))
        values[name] = Value(kind, f":p_{name}")
        target = named(form.ref, context.entities)
        if target is not None and not form.many and name.endswith("_id"):
            rows[name[:-3]] = Row(target, key=f":p_{name}", null=kind.null)
    return parameters, Scope(values, rows)


def object_schema(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    required = [name for name, each in parameters.items() if each.required]
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: each.schema for name, each in parameters.items()},
    }
    if required:
        made["required"] = required
    return {**made, "additionalProperties": False}


def _kind(context: Context, name: str, form: ParameterForm, place: Trail) -> Kind:
    null = form.optional and form.default is None
    if form.ref is not None:
        if form.ref not in context.entities:
            mend = hint(form.ref, context.entities, "there are")
            context.wrong((*place, "ref"), f"no entity {form.ref!r}{mend}")
        found = named(form.ref, context.entities)
        if found is None:
            return Kind("text", null, many=form.many)
        target = context.entities[found]
        if not name.endswith("_id") and not form.many:
            context.wrong(place, f"a parameter with `ref` ends in _id, as {name}_id")
        if form.type is not None or form.values is not None:
            context.wrong(place, "a parameter with `ref` has the type of the key that it names")
        return Kind(target.fields[target.key].name, null, entity=found, many=form.many)
    if form.values is not None and form.type not in (None, "text"):
        context.wrong((*place, "values"), f"`values` are for text, this is {form.type}")
    return Kind(form.type or "text", null, tuple(form.values or ()), many=form.many)


def _check(context: Context, kind: Kind, form: ParameterForm, place: Trail) -> None:
    if form.values is not None and not form.values:
        context.wrong((*place, "values"), "expected at least one value")
    if form.default is not None and not fits(form.default, kind):
        context.wrong((*place, "default"), f"expected {words(kind)}, got {form.default!r}")
    if form.pattern is not None and (kind.name != "text" or kind.many):
        context.wrong((*place, "pattern"), "a pattern is for a text")
    if form.min is not None and form.max is not None and form.min > form.max:
        context.wrong((*place, "min"), "min is greater than max")
    if (form.min is not None or form.max is not None) and (
        kind.name not in ("text", *NUMERIC) and not kind.many
    ):
        context.wrong(place, f"min and max are not for {words(kind)}")


def _schema(kind: Kind, form: ParameterForm) -> dict[str, Any]:
    made = dict(_SCHEMAS[kind.name])
    if kind.values:
        made["enum"] = list(kind.values)
    elif kind.name == "text" and not kind.many:
        made |= {
            "minLength": 1 if form.min is None else int(form.min),
            "maxLength": int(form.max or _MAX_TEXT),
        }
    elif kind.name in NUMERIC and not kind.many:
        made |= _bounds(kind, form)
    if form.pattern is not None:
        made["pattern"] = form.pattern
    if kind.many:
        made = {"type": "array", "items": made, "minItems": int(form.min or 0),
                "maxItems": int(form.max or _MAX_ITEMS)}  # fmt: skip
    if form.description:
        made = {"description": form.description, **made}
    if form.default is not None:
        made["default"] = form.default
    return made


def _bounds(kind: Kind, form: ParameterForm) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, bound in (("minimum", form.min), ("maximum", form.max)):
        if bound is not None:
            made[key] = int(bound) if kind.name == "integer" and bound == int(bound) else bound
    return made
