"""`nexau check-data`: findings as lines, what passes in a file, the proof."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cli.conftest import Call
from tests.synth.data.rollouts import lines, rollout


@pytest.fixture
def file(place: Path) -> Path:
    cut = rollout(9, status="limit", limit="steps")
    (place / "t.jsonl").write_bytes(lines(rollout(1), cut, rollout(2)))
    return place / "t.jsonl"


def test_findings_are_lines_and_what_passes_is_kept(call: Call, file: Path, place: Path) -> None:
    outcome = call("check-data", "t.jsonl", "--out", "clean.jsonl")
    assert outcome.code == 0
    (faulty,) = outcome.lines
    assert (faulty["id"], faulty["line"], faulty["hard"]) == ("r9/0", 2, True)
    assert faulty["findings"][0]["rule"] == "truncated"
    whole = file.read_bytes().splitlines(keepends=True)
    assert (place / "clean.jsonl").read_bytes() == whole[0] + whole[2]
    assert "2 without a fault" in outcome.err


def test_strict_fails_and_rules_can_be_chosen(call: Call, file: Path) -> None:
    assert call("check-data", "t.jsonl", "--strict").code == 1
    assert call("check-data", "t.jsonl", "--strict", "--rules", "schema,pairing").code == 0
    outcome = call("check-data", "t.jsonl", "--rules", "shema")
    assert outcome.code == 2
    assert "did you mean 'schema'" in outcome.err


def test_tasks_that_are_nearly_the_same(call: Call, place: Path) -> None:
    long = "Please look the customer up and pay the fifty cents that we owe for the broken cup"
    made = [replace(rollout(n), input=f"{long} number {n}.") for n in range(3)]
    (place / "t.jsonl").write_bytes(lines(*made))
    found = call("check-data", "t.jsonl", "--duplicates", "--rules", "pairing").lines
    assert [each["findings"][0]["rule"] for each in found] == ["near_duplicate"] * 2


def test_the_proof(call: Call, place: Path) -> None:
    (place / "t.jsonl").write_bytes(lines(*[rollout(n) for n in range(4)]))
    rows = call("check-data", "t.jsonl", "--prove", "--each", "3").lines
    assert len(rows) == 27
    assert {row["false"] for row in rows} == {0}


def test_the_list_and_wrong_input(call: Call, file: Path) -> None:
    assert len(call("check-data", "--list").lines) == 27
    for arguments in (["gone.jsonl"], ["tasks.jsonl"], []):
        outcome = call("check-data", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
