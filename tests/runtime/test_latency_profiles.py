"""Profile files, calls to record with, and comparisons."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from nexau.definitions.schemas import json_schema
from nexau.definitions.values import DefinitionError
from nexau.latency.comparison import compare_latencies, latencies_of, sample_of
from nexau.latency.profiles import (
    SCHEMA,
    Failures,
    Level,
    Profile,
    Taken,
    ToolProfile,
    growth,
    quantiles,
    read_profile,
    value_at,
    write_profile,
)
from nexau.latency.recording import Sample, choose, invent, read_samples
from nexau.models.base import ToolCall
from nexau.trajectory import SCHEMA as TRAJECTORY, CallResult, Step, Trajectory
from nexau.transports.protocol import ToolSpec

PROFILES = sorted((Path(__file__).parents[2] / "examples" / "profiles").glob("*.profile.yaml"))
TAKEN = Taken("2026-01-01", "a.yaml:s", "s", "1", "", "stdio", 0.5, "m", 2, (0.1, 0.2), "1", "c")
PROFILE = Profile(
    SCHEMA,
    TAKEN,
    (
        ToolProfile(
            "look",
            20,
            (
                Level(1, 10, 99.0, (1.0, 2.0, 4.0)),
                Level(8, 10, 99.0, (), (Failures("timeout", 1.0, (60_000.0,), "late"),)),
            ),
            (10, 20),
        ),
    ),
)


@pytest.mark.parametrize("name", ["p.yaml", "p.json"])
def test_written_and_read_again(tmp_path: Path, name: str) -> None:
    write_profile(tmp_path / name, PROFILE)
    assert read_profile(tmp_path / name) == PROFILE


def altered(**changes: Any) -> dict[str, Any]:
    level = {"in_flight": 1, "calls": 1, "per_second": 1.0, "ms": [1.0, 2.0]}
    whole: dict[str, Any] = msgspec.to_builtins(PROFILE)
    whole["tools"] = [{"name": "look", "calls": 1, "levels": [{**level, **changes}]}]
    return whole


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no latency profile"),
        ("[]", "no latency profile"),
        ({"schema": SCHEMA}, "taken"),
        ({**altered(), "schema": "nexau/1"}, "expected nexau-profile/1"),
        ({**altered(), "tools": []}, "tools: it has none"),
        (altered(in_flight=0), "in_flight must ascend"),
        (altered(ms=[0.0]), "greater than 0"),
        (altered(ms=[2.0, 1.0]), "must not descend"),
        (altered(ms=["x"]), r"\$.tools\[0\].levels\[0\].ms\[0\]"),
        (altered(failures=[{"error_class": "timeout", "rate": 1.5, "ms": []}]), "shares"),
        (altered(failures=[{"error_class": "late", "rate": 0.5, "ms": []}]), "Invalid enum"),
    ],
)
def test_what_no_profile_is(tmp_path: Path, content: Any, said: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DefinitionError, match=said) as caught:
        read_profile(file)
    assert "p.json" in str(caught.value)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "git.yaml").write_text("")
    with pytest.raises(DefinitionError, match=r"did you mean 'git\.yaml'\?"):
        read_profile(tmp_path / "gti.yaml")


@settings(max_examples=50)
@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=300))
def test_quantiles_ascend_and_span_the_sample(values: list[float]) -> None:
    found = quantiles(values)
    assert list(found) == sorted(found)
    assert (found[0], found[-1]) == pytest.approx((min(values), max(values)), rel=1e-3)
    assert value_at(found, 0.5) == pytest.approx(value_at(sorted(values), 0.5), rel=1e-3)


@pytest.mark.parametrize(
    ("medians", "expected"), [((1,), 0), ((1, 1), 0), ((1, 16), 1), ((1, 4), 0.5), ((1, 99), 1)]
)
def test_growth_with_calls_in_flight(medians: tuple[float, ...], expected: float) -> None:
    levels = [
        Level(in_flight, 1, 1.0, (median,))
        for in_flight, median in zip((1, 16), medians, strict=False)
    ]
    assert growth(levels) == pytest.approx(expected)


STEP = Step(
    "r",
    0,
    "root",
    0,
    (),
    "",
    (ToolCall("a", "box_look", {"x": 1}), ToolCall("b", "box_look", None, "{")),
    (
        CallResult("a", (), seconds=0.002),
        CallResult("b", (), is_error=True, error_class="invalid_arguments", seconds=9.0),
    ),
)
LINES = [
    msgspec.json.encode(STEP),
    msgspec.json.encode(Trajectory(TRAJECTORY, "r", "t", "", "a", "completed", (STEP,))),
    b'{"type": "call"}',
    b"",
]


def test_latencies_of_trajectories_and_steps() -> None:
    found = latencies_of(LINES, "lines")
    assert found == {"box_look": [2.0, 2.0]}
    (row,) = compare_latencies(PROFILE, found, 1)
    assert (row.tool, row.in_flight, row.recorded, row.replayed) == ("look", 1, 10, 2)
    assert row.d == 0.5
    assert row.wasserstein == pytest.approx(math.log(2) / 2, abs=0.06)
    assert compare_latencies(PROFILE, {"other": [1.0]}, 1) == []
    assert compare_latencies(PROFILE, {"other": [1.0]}, 1, "look")[0].replayed == 1
    with pytest.raises(DefinitionError, match="did you mean 'look'"):
        compare_latencies(PROFILE, found, 1, "lok")


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"type": "step"}'])
def test_a_broken_line_is_named(line: bytes) -> None:
    with pytest.raises(DefinitionError, match="lines:5"):
        latencies_of([*LINES, line], "lines")


def test_calls_to_record_with() -> None:
    text = '{"tool": "look", "arguments": {"x": 2}, "server": "s"}\n\n' + LINES[1].decode()
    samples = read_samples(text, "calls")
    assert samples == [Sample("look", {"x": 2}, "s"), Sample("box_look", {"x": 1})]
    specs = [ToolSpec("look", "", {})]
    unprefixed = Sample("look", {"x": 1})
    assert choose(specs, samples, "s") == {"look": [samples[0], unprefixed]}
    assert choose(specs, samples, "another") == {"look": [unprefixed]}
    assert choose([ToolSpec("lok", "", {})], samples, "s") == {}
    for wrong in ("{", '{"tol": "look"}', '{"type": "step", "calls": [{}]}\n{"tool": 3}'):
        with pytest.raises(DefinitionError, match="calls:"):
            read_samples(wrong, "calls")


READ_ONLY = {"readOnlyHint": True}


def test_calls_are_made_up_for_tools_that_only_read() -> None:
    properties: dict[str, Any] = {
        "text": {"type": "string"},
        "zone": {"enum": ["UTC", "CET"]},
        "count": {"type": "integer", "minimum": 3},
        "list": {"type": "array", "items": {"type": "number"}, "minItems": 2},
        "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "inner": {"type": "object", "properties": {"a": {"default": 7}}, "required": ["a"]},
        "optional": {"type": "string"},
    }
    schema = {"properties": properties, "required": [name for name in properties if name[0] != "o"]}
    made = invent(ToolSpec("look", "", schema, READ_ONLY))
    assert made == Sample(
        "look",
        {"text": "text", "zone": "UTC", "count": 3, "list": [1, 1], "maybe": False,
         "inner": {"a": 7}},
    )  # fmt: skip
    writes = ToolSpec("write", "", schema)
    assert invent(writes) is None
    assert choose([writes, ToolSpec("look", "", {}, READ_ONLY)], None, "s").keys() == {"look"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_shipped_profiles(path: Path) -> None:
    profile = read_profile(path)
    assert profile.taken.name
    assert profile.taken.version
    assert all("/tmp" not in text and "/home" not in text for text in (profile.taken.server,))
    for tool in profile.tools:
        assert [level.in_flight for level in tool.levels] == [1, 4, 16]
        assert all(level.ms for level in tool.levels)
        assert len(sample_of(tool.levels[0])) == tool.levels[0].calls


def test_there_are_shipped_profiles() -> None:
    assert len(PROFILES) >= 6


def test_the_schema_admits_a_profile() -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    valid = jsonschema_rs.validator_for(json_schema("profile"))
    assert valid.is_valid(msgspec.to_builtins(PROFILE))
    assert not valid.is_valid({"schema": SCHEMA})
