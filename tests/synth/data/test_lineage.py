"""Lineage: one id for equal things, and the chain from an export back to its specification."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

import nexau
from nexau.synth.ancestry import descendants, trace
from nexau.synth.lineage import (
    Lineage,
    append,
    bytes_id,
    canonical,
    carried,
    content_id,
    file_id,
    made_by,
    record,
    stamp,
)
from nexau.trajectory import Trajectory

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        text,
    ),
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(json_values)
def test_the_order_of_keys_does_not_matter_and_nothing_is_lost(value: object) -> None:
    def turned(value: object) -> object:
        if isinstance(value, dict):
            return {key: turned(inner) for key, inner in reversed(value.items())}
        return [turned(inner) for inner in value] if isinstance(value, list) else value

    assert canonical(value) == canonical(turned(value))
    assert json.loads(canonical(value)) == value


def test_ids_depend_on_kind_and_content() -> None:
    assert content_id("world", {"a": 1}) == content_id("world", {"a": 1})
    assert content_id("world", {"a": 1}) != content_id("task", {"a": 1})
    assert content_id("world", {"a": 1}) != content_id("world", {"a": 1.0})
    assert content_id("world", {"a": 1}) == bytes_id("world", b'{"a":1}\n')
    # So that a change of the form, which would orphan every record there is, is a decision.
    assert content_id("world", {"b": [1, "é"], "a": None}) == (
        "world:" + hashlib.sha256('{"a":null,"b":[1,"é"]}'.encode()).hexdigest()[:32]
    )


def test_a_file_has_the_id_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_bytes(b"x" * 3_000_000)
    assert file_id("world", tmp_path / "w.yaml") == bytes_id("world", b"x" * 3_000_000)


def test_metadata_carries_a_record() -> None:
    made = record("task", {"input": "x"}, ["world:1"], made_by("nexau synth tasks", seed=7))
    assert carried(stamp({"k": 1}, made)) == made
    assert carried({}) is None
    assert carried({"lineage": "no"}) is None
    assert carried({"lineage": {"id": 3}}) is None


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Path, list[str]]:
    """A specification, two worlds, a task, a rollout, an export, in three files."""
    specification = record("specification", "a shop", made={"by": "a person"})
    worlds = [record("world", n, [specification.id], name=f"shop-{n}") for n in range(2)]
    task = record("task", "t", [world.id for world in worlds], name="shop-7")
    append(tmp_path / "lineage.jsonl", [specification, *worlds])
    rollout = Trajectory(
        "nexau/1", "shop-7/0", "shop-7", "x", "desk", "completed", (), metadata=stamp({}, task)
    )
    line = msgspec.json.encode(rollout)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "t.jsonl").write_bytes(b'{"type":"step"}\nnot json\n' + line + b"\n")
    export = record("export", "e", [bytes_id("rollout", line)])
    append(tmp_path / "out.lineage.jsonl", [export])
    return tmp_path, [export.id, bytes_id("rollout", line), task.id, specification.id]


def test_the_chain_is_found_from_its_end(chain: tuple[Path, list[str]]) -> None:
    folder, (export, rollout, task, specification) = chain
    found = trace(export, [folder])
    (second,) = found.parents
    assert second.found.lineage.id == rollout
    assert second.found.lineage.name == "shop-7/0"
    (third,) = second.parents
    assert third.found.lineage.id == task
    assert [world.found.lineage.name for world in third.parents] == ["shop-0", "shop-1"]
    assert {world.parents[0].found.lineage.id for world in third.parents} == {specification}
    assert descendants(specification, [folder]) == {
        "world": 2,
        "task": 1,
        "rollout": 1,
        "export": 1,
    }


def test_names_and_beginnings_will_do(chain: tuple[Path, list[str]]) -> None:
    folder, (export, rollout, *_) = chain
    assert trace(export[:15], [folder]).found.lineage.id == export
    assert trace(rollout.partition(":")[2][:8], [folder]).found.lineage.id == rollout
    assert trace("shop-7/0", [folder]).found.lineage.id == rollout
    with pytest.raises(nexau.DefinitionError, match="no record"):
        trace("shop-8", [folder])
    with pytest.raises(nexau.DefinitionError, match="no file"):
        trace("shop-7", [folder / "gone"])


def test_a_parent_without_a_record_is_named(tmp_path: Path) -> None:
    append(tmp_path / "x.jsonl", [Lineage("task:00aa11", "task", ("world:00bb22",))])
    assert trace("task:00aa11", [tmp_path]).missing == ("world:00bb22",)
