"""Arguments for tools of which nothing is known but their schemas: varied, as people give them."""

from random import Random
from typing import Any

from nexau.synth.agents.probes import FORMATS, LEVELS
from nexau.synth.agents.toolfacts import resolve, type_of
from nexau.synth.patterns import text_for
from nexau.synth.tasks.phrases import TEXTS

_DAYS = ("2026-01-15", "2026-02-28", "2026-03-02", "2025-12-24", "2025-07-01")
_TIMES = ("09:30", "14:05", "17:45", "08:15", "21:20")
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Africa/Nairobi", "UTC")
_WORDS = ("river", "granite", "almanac", "harbour", "lantern", "meadow", "copper", "orchard")
_OPTIONAL = 0.3
_WIDE = 50
_DEFAULTS = 0.5
"""How often a default is kept where the schema admits other values."""


def drawn(schema: Any, chance: Random) -> dict[str, Any] | None:
    """A mapping that the schema of a tool's arguments may admit; None where none was found."""
    made = _value("", schema, schema, chance, LEVELS)
    return made if isinstance(made, dict) else None


def _value(name: str, given: Any, root: dict[str, Any], chance: Random, levels: int) -> Any:
    schema = resolve(given, root)
    if not isinstance(schema, dict) or not levels:
        return chance.choice(_WORDS)
    listed = _listed(schema, chance)
    if listed is not None:
        return listed[0]
    kind = type_of(schema)
    if kind == "object":
        required = set(schema.get("required") or ())
        found = {
            key: _value(key, each, root, chance, levels - 1)
            for key, each in (schema.get("properties") or {}).items()
            if key in required or chance.random() < _OPTIONAL
        }
        # Nobody asks for something "with no shelf": what may be null is left out.
        return {key: each for key, each in found.items() if each is not None or key in required}
    if kind == "array":
        least = max(1, int(schema.get("minItems", 1)))
        most = min(int(schema.get("maxItems", least + 2)), least + 2)
        count = chance.randint(least, max(least, most))
        return [_value(name, schema.get("items"), root, chance, levels - 1) for _ in range(count)]
    if kind in ("integer", "number"):
        return _number(schema, kind, chance)
    if kind == "boolean":
        return chance.random() < 0.5
    return None if kind == "null" else _text(name, schema, chance)


def _listed(schema: dict[str, Any], chance: Random) -> list[Any] | None:
    """What the schema itself names, in a list of its own; None where it leaves all open."""
    if "const" in schema:
        return [schema["const"]]
    for key in ("enum", "examples"):
        found = schema.get(key)
        if isinstance(found, list) and found:
            return [chance.choice(found)]
    if "default" in schema and (schema["default"] is None or chance.random() < _DEFAULTS):
        return [schema["default"]]
    return None


def _number(schema: dict[str, Any], kind: str, chance: Random) -> Any:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum", min(1, schema.get("maximum", 1))))
    if schema.get("exclusiveMinimum") == low:
        low += step
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + _WIDE))
    if schema.get("exclusiveMaximum") == high:
        high -= step
    first, last = int(-(-low // step)), int(min(high, low + _WIDE) // step)
    made = chance.randint(first, max(first, last)) * step
    return int(made) if kind == "integer" else made


def _text(name: str, schema: dict[str, Any], chance: Random) -> str:
    form, pattern = schema.get("format"), schema.get("pattern")
    folded = name.casefold()
    if form == "date" or (form is None and "date" in folded):
        return chance.choice(_DAYS)
    if isinstance(form, str) and form in FORMATS:
        return FORMATS[form]
    if isinstance(pattern, str):
        return text_for(pattern) or chance.choice(_WORDS)
    if "timezone" in folded or folded in ("tz", "zone"):
        return chance.choice(_ZONES)
    if folded == "time" or folded.endswith("_time"):
        return chance.choice(_TIMES)
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
    text = chance.choice(TEXTS if most >= 40 and chance.random() < 0.5 else _WORDS)
    return text.ljust(min(least, 10_000), "x")[:most]
