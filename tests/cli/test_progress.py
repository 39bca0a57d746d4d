"""What a person sees of a long run."""

import json
from pathlib import Path

import pytest

from nexau.cli.screen import counted, milliseconds, shortened
from tests.cli.conftest import task, write_tasks
from tests.cli.terminal import on_terminal


def test_a_bar_and_a_summary_on_a_terminal(place: Path) -> None:
    write_tasks(place / "some.jsonl", [*[task(0.01) for _ in range(30)], {"input": "no plan"}])
    words = ("rollout", "agent.yaml", "some.jsonl", "--concurrency", "4")
    with (place / "out.jsonl").open("wb") as output:
        code, shown = on_terminal(*words, stdout=output)
    assert code == 1
    assert "31/31" in shown
    assert "failed: model 1" in shown
    assert "running" in shown
    assert "p95" in shown
    assert shown.rstrip().rpartition("\n")[2].lstrip().startswith("peak memory")
    assert len((place / "out.jsonl").read_text().splitlines()) == 31


def test_no_bar_when_not_wanted(place: Path) -> None:
    with (place / "out.jsonl").open("wb") as output:
        code, shown = on_terminal(
            "rollout", "agent.yaml", "tasks.jsonl", "--no-progress", stdout=output
        )
    assert code == 0
    assert "5/5" not in shown
    assert "peak memory" in shown


def test_no_bar_among_the_lines(place: Path) -> None:
    code, shown = on_terminal("rollout", "agent.yaml", "tasks.jsonl")
    assert code == 0
    lines = [line for line in shown.splitlines() if line.startswith("{")]
    assert len([json.loads(line) for line in lines]) == 5
    assert "peak memory" in shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0000421, "0.042 ms"),
        (0.00342, "3.42 ms"),
        (0.0342, "34.2 ms"),
        (0.342, "342 ms"),
        (4.2, "4.20 s"),
        (342.0, "342 s"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert milliseconds(seconds) == shown


def test_counts() -> None:
    assert counted({}) == "none"
    assert counted({"b": 1, "a": 1, "c": 2000}) == "c 2,000, a 1, b 1"


def test_long_texts_are_shortened() -> None:
    assert shortened("a\nb") == "a\nb"
    assert shortened("a\nb\nc", lines=2) == "a\nb\n... 2 characters more"
    assert shortened("x" * 1_000, characters=10) == "x" * 10 + "\n... 990 characters more"
