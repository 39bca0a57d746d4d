"""Arguments of calls against their JSON Schema: compiled once, told to the model if wrong."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from jsonschema_rs import ValidationError, ValidationErrorKind as Kind

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint, nearest
from nexau.files.problems import Trail, clip, cut, show
from nexau.transports.protocol import ToolSpec
from nexau.transports.schemaguard import SchemaRefused, compile_schema

MAX_FAULTS = 5
"""Told to the model at once."""
_MAX_TEXT = 300
_CACHED = 4096


class ArgumentValidator:
    """The compiled schema of one tool. Immutable; any thread may use it."""

    __slots__ = ("_is_valid", "_iter_errors", "_schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compiles `schema`: draft 2020-12, or the draft that its `$schema` names.

        Raises `DefinitionError` for one that is no valid schema, refers beyond itself, or asks
        for too much (`nexau.transports.schemaguard`).
        """
        self._schema = schema
        try:
            compiled = compile_schema(schema)
        except (ValueError, TypeError) as error:  # ValidationError and ReferencingError included
            raise DefinitionError(_unusable(error)) from None
        self._is_valid = compiled.is_valid
        self._iter_errors = compiled.iter_errors

    def fits(self, arguments: Any) -> bool:
        """Whether `validate` finds no fault, which it need not say."""
        try:
            return self._is_valid(arguments)
        except ValueError:  # values that JSON does not have
            return False

    def validate(self, arguments: Any) -> str | None:
        """None where `arguments` fit; otherwise what is wrong, a line a fault, for a model to
        mend. Values in the text are cut short.
        """
        try:
            if self._is_valid(arguments):
                return None
            faults = list(islice(self._iter_errors(arguments), MAX_FAULTS + 1))
        except ValueError as error:  # values that JSON does not have
            return cut(str(error), _MAX_TEXT)
        lines = [f"{_place(fault)}{self._say(fault)}" for fault in faults[:MAX_FAULTS]]
        if len(faults) > MAX_FAULTS:
            lines.append("(and more)")
        return "\n".join(lines)

    def _say(self, fault: ValidationError) -> str:
        seen = _seen(fault.instance)
        match fault.kind:
            case Kind.Type(types=types):
                return f"expected {_types(types)}, got {seen}"
            case Kind.Required(property=name):
                return f"{str(name)!r} is missing"
            case (
                Kind.AdditionalProperties(unexpected=names)
                | Kind.UnevaluatedProperties(unexpected=names)
            ):
                known = self._properties(fault.schema_path)
                return "; ".join(
                    f"unknown property {clip(name)}{hint(name, known, 'it has')}"
                    for name in names[:MAX_FAULTS]
                )
            case Kind.Enum(options=values):
                close = nearest(seen[1:-1], map(str, values)) if seen[:1] == "'" else None
                mend = f"; did you mean {close!r}?" if close is not None else ""
                return f"expected one of {clip(values, _MAX_TEXT)}, got {seen}{mend}"
            case Kind.AnyOf(context=branches) | Kind.OneOfNotValid(context=branches) if (
                wanted := _wanted(branches)
            ):
                return f"{seen} fits none of: {wanted}"
            case _:
                said = fault.message.removeprefix(f"{_json(fault.instance)} ")
                return f"{seen} {cut(said, _MAX_TEXT)}"

    def _properties(self, schema_path: list[str | int]) -> list[str]:
        """The names that the schema knows where it refused one."""
        schema: Any = self._schema
        for step in schema_path[:-1]:
            if isinstance(schema, Mapping) and "$ref" in schema and step != "$ref":
                schema = self._resolve(schema["$ref"])
            if isinstance(schema, Mapping) and step == "$ref":
                schema = self._resolve(schema["$ref"])
            elif isinstance(schema, Mapping) and step in schema:
                schema = schema[str(step)]
            elif isinstance(schema, list) and isinstance(step, int) and step < len(schema):
                schema = schema[step]
        known = schema.get("properties") if isinstance(schema, Mapping) else None
        return [str(name) for name in known] if isinstance(known, Mapping) else []

    def _resolve(self, reference: str) -> Any:
        found: Any = self._schema
        for step in reference.lstrip("#").strip("/").split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


_by_identity: OrderedDict[int, tuple[Mapping[str, Any], ArgumentValidator]] = OrderedDict()
_by_text: OrderedDict[bytes, ArgumentValidator] = OrderedDict()


def validator(tool: ToolSpec | Mapping[str, Any]) -> ArgumentValidator:
    """The compiled schema of a tool, from a bounded cache.

    Equal schemas share one, whatever session they came from. Raises `DefinitionError`.
    """
    schema = tool.parameters if isinstance(tool, ToolSpec) else tool
    cached = _by_identity.get(id(schema))
    # The entry holds the schema, so its id cannot come to mean another one.
    if cached is not None and cached[0] is schema:
        return cached[1]
    text = _json(schema).encode()
    found = _by_text.get(text) or ArgumentValidator(schema)
    _keep(_by_text, text, found)
    _keep(_by_identity, id(schema), (schema, found))
    return found


def validate(tool: ToolSpec | Mapping[str, Any], arguments: Any) -> str | None:
    """As `ArgumentValidator.validate`, with the cached validator of `tool`."""
    return validator(tool).validate(arguments)


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > _CACHED:
        cache.popitem(last=False)


def _unusable(error: Exception) -> str:
    if isinstance(error, SchemaRefused):
        return str(error)
    if not isinstance(error, ValidationError):
        return f"not a JSON Schema: {cut(str(error), _MAX_TEXT)}"
    message = error.message.partition(": ValueError: ")[2] or error.message
    where = show(tuple(error.instance_path))
    return f"not a JSON Schema: {f'{where}: ' if where else ''}{cut(message, _MAX_TEXT)}"


def _place(fault: ValidationError) -> str:
    trail: Trail = tuple(fault.instance_path)
    return f"{show(trail)}: " if trail else ""


def _types(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return " or ".join(sorted(map(str, value), key=lambda name: name == "null"))


def _seen(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return clip(value) if isinstance(value, str) else cut(_json(value), 60)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)


def _wanted(branches: Sequence[Sequence[ValidationError]]) -> str:
    """The types that the branches of an anyOf ask for; empty where they ask for more."""
    said: list[str] = []
    for branch in branches:
        match [fault.kind for fault in branch]:
            case [Kind.Type(types=types)]:
                said.append(_types(types))
            case _:
                return ""
    return ", ".join(dict.fromkeys(said))
