"""What a model is told of arguments that do not fit."""

import math
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexau.arguments import ArgumentValidator, validate, validator
from nexau.definitions.values import DefinitionError
from nexau.transports.protocol import ToolSpec

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 2},
        "limit": {"type": ["integer", "null"], "maximum": 10},
        "kind": {"enum": ["file", "folder", 3]},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["query"],
    "additionalProperties": False,
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"query": "aa"}, None),
        ({"query": "aa", "limit": None, "kind": 3, "places": [{"name": "x"}], "id": 1}, None),
        ({}, "'query' is missing"),
        ({"quer": "aa"}, "unknown property 'quer'; did you mean 'query'?\n'query' is missing"),
        ({"query": 3}, "query: expected string, got 3"),
        ({"query": "a"}, "query: 'a' is shorter than 2 characters"),
        ({"query": "aa", "limit": "5"}, "limit: expected integer or null, got '5'"),
        ({"query": "aa", "limit": 11}, "limit: 11 is greater than the maximum of 10"),
        (
            {"query": "aa", "kind": "fil"},
            "kind: expected one of ['file', 'folder', 3], got 'fil'; did you mean 'file'?",
        ),
        (
            {"query": "aa", "places": [{"name": "x"}, {"nam": "y"}]},
            "places[1]: unknown property 'nam'; did you mean 'name'?\nplaces[1]: 'name' is missing",
        ),
        ({"query": "aa", "id": 1.5}, "id: 1.5 fits none of: string, integer"),
        ({"query": "aa", "id": {}}, "id: an object fits none of: string, integer"),
        ([], "expected object, got an array"),
    ],
)
def test_text(arguments: Any, text: str | None) -> None:
    assert validate(SCHEMA, arguments) == text


def test_long_values_and_many_faults_are_cut() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    text = validate(schema, {f"k{n}": "x" * 10_000 for n in range(100)})
    assert text is not None
    assert len(text) < 1_000
    assert text.splitlines()[-1] == "(and more)"
    named = validate({"additionalProperties": False}, {"y" * 10_000: 1})
    assert named is not None
    assert len(named) < 200


@pytest.mark.parametrize("value", [{1: 2}, {"query": b"x"}, {"query": {1, 2}}, object()])
def test_values_that_json_does_not_have(value: Any) -> None:
    assert isinstance(validate(SCHEMA, value), str)


def test_numbers_at_the_edge() -> None:
    schema = {"properties": {"n": {"type": "integer"}}}
    assert validate(schema, {"n": 2**62}) is None
    # Told as too big by older versions of the library, valid for newer ones.
    assert validate(schema, {"n": 10**40}) in (None, "int too big to convert")
    assert validate(schema, {"n": 2.0}) is None
    assert validate(schema, {"n": math.inf}) is not None
    assert validate(schema, {"n": math.nan}) is not None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strin"}, r"not a JSON Schema: type: "),
        ({"minimum": "a"}, r"minimum: .* is not of type .number"),
        ({"properties": {"a": {"pattern": "(("}}}, r"\(\(. is not a .regex"),
        ({"$ref": "https://example.com/x"}, r"example\.com/x lies outside the schema, and is not"),
        ({"$ref": "file:///etc/passwd"}, r"lies outside the schema"),
        ({"$ref": "#/$defs/none"}, r"'/\$defs/none' does not exist"),
        ({"$schema": "https://example.com/own"}, r"example\.com/own"),
        ({"properties": {"a": 3}}, r"not a JSON Schema"),
        ({"const": object()}, r"not a JSON Schema"),
    ],
)
def test_schemas_that_do_not_compile(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        ArgumentValidator(schema)


def test_draft_7_schemas_of_outside_servers() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert validate(schema, ["x"]) is None
    assert validate(schema, [1]) is not None


def test_equal_schemas_share_one_validator() -> None:
    again = {**SCHEMA}
    assert validator(SCHEMA) is validator(again)
    assert validator(ToolSpec("t", "", SCHEMA)) is validator(SCHEMA)
    assert validator({"type": "object"}) is not validator(SCHEMA)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[OrderedDict[Any, Any]] = [OrderedDict(), OrderedDict()]
    monkeypatch.setattr("nexau.arguments._CACHED", 8)
    monkeypatch.setattr("nexau.arguments._by_text", caches[0])
    monkeypatch.setattr("nexau.arguments._by_identity", caches[1])
    for n in range(100):
        schema = {"properties": {"n": {"const": n}}}
        assert validate(schema, {"n": n}) is None
        assert validate(schema, {"n": n + 1}) is not None
    assert [len(cache) for cache in caches] == [8, 8]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
keywords = st.sampled_from(
    ["type", "properties", "items", "$ref", "anyOf", "enum", "required", "not", "$defs", "pattern"]
)


@given(
    arguments=json_values | st.dictionaries(st.sampled_from([*SCHEMA["properties"]]), json_values)
)
@settings(max_examples=150, deadline=None)
def test_any_arguments(arguments: Any) -> None:
    text = validate(SCHEMA, arguments)
    assert text is None or text.strip()


@given(schema=st.dictionaries(keywords, json_values))
@settings(max_examples=150, deadline=None)
def test_any_schema(schema: dict[str, Any]) -> None:
    try:
        compiled = ArgumentValidator(schema)
    except DefinitionError:
        return
    compiled.validate({"a": 1})
