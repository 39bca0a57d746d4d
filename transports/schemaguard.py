"""JSON Schemas of servers, compiled so that none can hold the program up.

The engine takes recursion and cyclic references as they come. What it does not bound is bounded
here, before it compiles: size, depth, patterns, and how often one value is looked at. Patterns run
on the `regex` crate, in linear time; those that it cannot express backtrack 10,000 steps at most.
Nothing is fetched.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import msgspec

from nexau.transports.schemacost import TooComplex, cost

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 20_000
"""Objects, arrays and scalars in one schema."""
MAX_PATTERNS = 64
MAX_PATTERN = 1_000
"""Characters."""
MAX_COST = 100_000
"""Times that one value may be looked at: about 2 ms."""
_REFERS = b'"$'
"""In all JSON that refers to something, or names something to refer to."""
_CACHED = 1024

_PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=10_000, size_limit=1 << 18, dfa_size_limit=1 << 18
)
_compiled: OrderedDict[bytes, jsonschema_rs.Validator] = OrderedDict()


class SchemaRefused(ValueError):
    """A schema that is valid, perhaps, and asks for too much."""


def compile_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Of draft 2020-12, or the draft that its `$schema` names. Equal ones share one.

    Raises `SchemaRefused`; ValueError (`ValidationError` and `ReferencingError` are) or TypeError
    for what is no schema, or refers beyond itself.
    """
    try:
        encoded = msgspec.json.encode(schema)
    except (RecursionError, OverflowError) as error:
        raise SchemaRefused(f"it cannot be JSON: {error}") from None
    known = _compiled.get(encoded)
    if known is None:
        if len(encoded) > MAX_BYTES:
            raise SchemaRefused(f"it has more than {MAX_BYTES:,} bytes")
        if not _is_plain(encoded):
            _measure(schema)
        try:
            # What refers to nothing looks at a value once for each of its objects at most, and of
            # these it has fewer than MAX_COST.
            if _REFERS in encoded and cost(schema, MAX_COST) > MAX_COST:
                raise SchemaRefused("one value would be looked at too often")
        except TooComplex as error:
            raise SchemaRefused(str(error)) from None
        known = _compiled[encoded] = jsonschema_rs.validator_for(
            dict(schema), retriever=_refuse, pattern_options=_PATTERNS
        )
        if len(_compiled) > _CACHED:
            _compiled.popitem(last=False)
    return known


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside the schema, and is not fetched")


def _is_plain(encoded: bytes) -> bool:
    """Whether its text alone shows that a schema keeps the bounds of `_measure`: a value takes a
    byte, a level an opening bracket.
    """
    brackets = encoded.count(b"{") + encoded.count(b"[")
    return len(encoded) <= MAX_VALUES and brackets < MAX_DEPTH and b'"pattern' not in encoded


def _measure(schema: Mapping[str, Any]) -> None:
    """Raises `SchemaRefused`."""
    level: list[Any] = [schema]
    values = patterns = 0
    for _ in range(MAX_DEPTH):
        values += len(level)
        if values > MAX_VALUES:
            raise SchemaRefused(f"it has more than {MAX_VALUES:,} values")
        for pattern in _patterns_of(level):
            patterns += 1
            if patterns > MAX_PATTERNS:
                raise SchemaRefused(f"it has more than {MAX_PATTERNS} patterns")
            if len(pattern) > MAX_PATTERN:
                raise SchemaRefused(f"it has a pattern of more than {MAX_PATTERN:,} characters")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise SchemaRefused(f"it is nested deeper than {MAX_DEPTH} levels")


def _patterns_of(level: list[Any]) -> Iterator[str]:
    for value in level:
        if isinstance(value, Mapping):
            if isinstance(pattern := value.get("pattern"), str):
                yield pattern
            if isinstance(named := value.get("patternProperties"), Mapping):
                yield from named


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
