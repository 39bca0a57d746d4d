"""Arguments that a tool's schema allows, to see whether it answers at all."""

import re
from typing import Any

from nexau.arguments import validator
from nexau.definitions.values import DefinitionError
from nexau.synth.agents.toolfacts import ToolFacts, resolve, type_of
from nexau.synth.patterns import text_for
from nexau.transports.protocol import ToolSpec

FORMATS = {
    "date": "2026-03-02",
    "date-time": "2026-03-02T10:00:00Z",
    "time": "10:00:00Z",
    "email": "a@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "ipv4": "127.0.0.1",
    "hostname": "example.com",
}
LEVELS = 6


def only_reads(facts: ToolFacts) -> bool:
    """Whether a call can do no harm, by the server's own word, or else by the tool's name."""
    hinted = facts.tool.annotations.get("readOnlyHint")
    return hinted is True if isinstance(hinted, bool) else facts.does == "reads"


def probe(facts: ToolFacts) -> dict[str, Any] | None:
    """Arguments with nothing but what is required; None where none that fit could be made up."""
    schema = facts.tool.input
    try:
        check = validator(ToolSpec(facts.tool.name, "", schema)).validate
    except DefinitionError:
        return None
    made = _value(schema, schema, LEVELS)
    return made if isinstance(made, dict) and check(made) is None else None


def _value(given: Any, root: dict[str, Any], levels: int) -> Any:
    schema = resolve(given, root)
    if not isinstance(schema, dict) or not levels:
        return "text"
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    kind = type_of(schema)
    if kind == "object":
        inner = schema.get("properties") or {}
        return {name: _value(inner.get(name), root, levels - 1)
                for name in schema.get("required") or ()}  # fmt: skip
    if kind == "array":
        least = schema.get("minItems", 0)
        return [_value(schema.get("items"), root, levels - 1) for _ in range(min(least, 16))]
    if kind in ("integer", "number"):
        return _number(schema, kind)
    return {"boolean": False, "null": None}.get(kind, _text(schema))


def _number(schema: dict[str, Any], kind: str) -> float:
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", min(1, schema.get("maximum", 1))))
    if schema.get("exclusiveMinimum") == least:
        least += step
    made = -(-least // step) * step
    return int(made) if kind == "integer" else float(made)


def _text(schema: dict[str, Any]) -> str:
    form, pattern = schema.get("format"), schema.get("pattern")
    if isinstance(form, str) and form in FORMATS:
        return FORMATS[form]
    if isinstance(pattern, str):
        found = text_for(pattern)
        return found if found is not None and re.search(pattern, found) else "text"
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
    return "text".ljust(min(least, 10_000), "x")[:most] if least or most < 4 else "text"
