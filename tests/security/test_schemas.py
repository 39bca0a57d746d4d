"""Schemas from outside: what asks for too much is refused, what people write is not."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexau.transports import schemaguard
from nexau.transports.schemacost import cost
from nexau.transports.schemaguard import MAX_COST, MAX_DEPTH, SchemaRefused, compile_schema

NODE = {"$ref": "#/$defs/n"}


def chain(length: int, times: int = 2, keyword: str = "allOf") -> dict[str, Any]:
    """Each looks `times` at the next."""
    defs: dict[str, Any] = {
        f"a{i}": {keyword: [{"$ref": f"#/$defs/a{i + 1}"}] * times} for i in range(length)
    }
    return {"$defs": {**defs, f"a{length}": {"type": "object"}}, "$ref": "#/$defs/a0"}


def recursive(**n: Any) -> dict[str, Any]:
    return {"$defs": {"n": n}, **NODE}


TWICE = [{"properties": {"a": NODE}}, {"properties": {"a": NODE}}]

REFUSED = {
    "doubling": chain(20),
    "doubling by anyOf": chain(20, keyword="anyOf"),
    "trebling": chain(12, 3),
    "doubling with each level": recursive(allOf=TWICE),
    "in items": recursive(anyOf=[{"items": NODE}, {"items": NODE}]),
    "by a wildcard": recursive(properties={"a": NODE}, additionalProperties=NODE,
                               patternProperties={".": NODE}),
    "through not": recursive(**{"not": {"allOf": TWICE}, "if": {"properties": {"a": NODE}}}),
    "a long chain": chain(5000, 1),
    "outward": {"$ref": "https://example.org/x"},
    "to a file": {"$ref": "file:///etc/passwd"},
    "another identity": {"properties": {"a": {"$id": "urn:x", "$ref": "#"}}},
    "percent": {"$ref": "#/%24defs/a", "$defs": {"a": {}}},
    "patterns": {"properties": {f"p{i}": {"pattern": "a"} for i in range(65)}},
    "pattern properties": {"patternProperties": {f"^a{i}$": {} for i in range(65)}},
    "a long pattern": {"pattern": "a" * 1001},
    "many values": {"enum": [[i] for i in range(20_001)]},
    "long": {"description": "x" * 1_000_001},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(SchemaRefused):
        compile_schema(REFUSED[name])


def test_nested_too_deeply() -> None:
    schema: dict[str, Any] = {}
    for _ in range(40):
        schema = {"properties": {"a": schema}}
    with pytest.raises(SchemaRefused, match="nested deeper"):
        compile_schema(schema)


FILTER = recursive(
    anyOf=[
        {"type": "object", "properties": {"and": {"type": "array", "items": NODE}}},
        {"type": "object", "properties": {"or": {"type": "array", "items": NODE}}},
        {"type": "object", "properties": {"not": NODE}},
        {"type": "object", "properties": {"field": {"type": "string"}, "is": {}}},
    ]
)
USUAL = {
    "plain": ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "x"}),
    "itself": ({"$ref": "#"}, {}),
    "in a circle": ({"$defs": {"n": {"allOf": [NODE]}}, **NODE}, {}),
    "a list": (recursive(properties={"next": NODE}), {"next": {"next": {}}}),
    "a tree": (recursive(properties={"left": NODE, "right": NODE}), {"left": {}}),
    "a filter": (FILTER, {"and": [{"or": [{"field": "a"}]}]}),
    "anchors": ({"$defs": {"x": {"$anchor": "n", "type": "object"}}, "$ref": "#n"}, {}),
    "items by place": ({"prefixItems": [{"type": "string"}], "items": {"minimum": 1}}, ["a", 1]),
    "examples with ids": ({"examples": [{"id": "a"}, {"id": "b"}], "type": "object"}, {}),
    "wide": ({"properties": {f"p{i}": {"type": "string"} for i in range(2000)}}, {"p1": "x"}),
    "linear pattern": ({"pattern": "^(a+)+$"}, "aaa"),
    "look-ahead": ({"pattern": "^(?=.*[0-9])[a-z0-9]+$"}, "abc1"),
}  # fmt: skip


@pytest.mark.parametrize("name", USUAL)
def test_usual(name: str) -> None:
    schema, value = USUAL[name]
    assert compile_schema(schema).is_valid(value)
    assert cost(schema, MAX_COST) < 100


def test_equal_schemas_share_one() -> None:
    assert compile_schema({"type": "object"}) is compile_schema({"type": "object"})


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", r"^(?=a)(a|aa)+(?<=x)$", r"^(a|b|ab)*\1c$"]
)
def test_patterns_end_soon(pattern: str) -> None:
    """CPU, far from what the exponential ones would take: 2**40 steps."""
    validator = compile_schema({"pattern": pattern})
    began = time.process_time()
    assert not validator.is_valid("a" * 40 + "b")
    assert time.process_time() - began < 5


SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.text("ab$", max_size=3)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["properties", "items", "allOf", "anyOf", "not", "if", "contains",
                             "additionalProperties", "dependentSchemas", "a", "$ref", "pattern"]),
            inner, max_size=5)
    ),
    max_leaves=40,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["properties", "items", "allOf", "a"]), SCHEMAS))
def test_short_cuts_pass_over_no_bound(schema: dict[str, Any]) -> None:
    """What is not measured, because its text shows that it need not be."""
    encoded = msgspec.json.encode(schema)
    if schemaguard._REFERS not in encoded:
        assert cost(schema, MAX_COST) <= encoded.count(b"{") + 1
    if schemaguard._is_plain(encoded):
        schemaguard._measure(schema)


def test_brackets_count_as_levels() -> None:
    """Nesting just within the bound, and just beyond it, by either way."""
    for levels in range(MAX_DEPTH - 4, MAX_DEPTH + 2):
        schema: dict[str, Any] = {"type": "object"}
        for _ in range(levels):
            schema = {"not": schema}
        plain = schemaguard._is_plain(msgspec.json.encode(schema))
        try:
            schemaguard._measure(schema)
        except SchemaRefused:
            assert not plain
