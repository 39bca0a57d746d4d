"""`nexau check`: every problem, where it is, and nothing run."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_fine_files(call: Call) -> None:
    outcome = call("check", "agent.yaml", "scripted.yaml", "tasks.jsonl")
    assert (outcome.code, outcome.out) == (0, "")
    assert "3 of 3 files are fine" in outcome.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "name: a\nmodel: plan\ntols: []\n", "a.yaml:3:1: tols: unknown key"),
        ("a.yaml", "name: a\nmodel: plan\ntools: [cli_doings:wat]\n", "'wait'"),
        ("a.yaml", "name: a\nmodel: plan\ntools: [{mcp: x}]\n", "no server 'x'"),
        ("a.yaml", "name: [\n", "a.yaml:"),
        ("t.jsonl", '{"input": "x"}\n{"inputs": "y"}\n', "t.jsonl:2"),
        ("t.jsonl", "nonsense\n", "t.jsonl:1"),
    ],
)
def test_problems(call: Call, place: Path, name: str, text: str, said: str) -> None:
    (place / name).write_text(text)
    outcome = call("check", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_every_file_is_checked(call: Call, place: Path) -> None:
    outcome = call("check", "gone.yaml", "agent.yaml", "gone.jsonl")
    assert outcome.code == 2
    assert "gone.yaml: no such file" in outcome.err
    assert "gone.jsonl" in outcome.err
    assert "1 of 3 files are fine" in outcome.err


def test_no_file(call: Call) -> None:
    outcome = call("check")
    assert outcome.code == 2
    assert "FILE" in outcome.err
