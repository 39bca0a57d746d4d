"""`nexau rollout`: lines out, a summary, exit codes, wrong input."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Start, task, write_tasks


def test_every_task_is_a_line(call: Call) -> None:
    outcome = call("rollout", "agent.yaml", "tasks.jsonl", "--repeat", "2", "--seed", "7")
    assert outcome.code == 0
    assert sorted(line["id"] for line in outcome.lines) == [
        f"t{i}/{repeat}" for i in range(5) for repeat in range(2)
    ]
    assert {line["status"] for line in outcome.lines} == {"completed"}


def test_the_seed_decides(call: Call) -> None:
    runs = [call("rollout", "agent.yaml", "tasks.jsonl", "--seed", seed) for seed in "778"]
    seeds = [{line["id"]: line["seed"] for line in run.lines} for run in runs]
    assert seeds[0] == seeds[1] != seeds[2]


def test_tasks_from_stdin(process: Start, place: Path) -> None:
    running = process("rollout", "agent.yaml", "-")
    out, err = running.communicate((place / "tasks.jsonl").read_bytes(), timeout=150)
    assert running.returncode == 0
    assert len(out.splitlines()) == 5
    assert b"5 in" in err


def test_only_the_first_tasks(call: Call) -> None:
    outcome = call("rollout", "agent.yaml", "tasks.jsonl", "--limit", "2")
    assert [line["task"] for line in outcome.lines] == ["t0", "t1"]


@pytest.mark.parametrize(
    ("emit", "types"),
    [
        ("trajectories", {"trajectory"}),
        ("steps", {"step"}),
        ("events", {"started", "model_turn", "call", "result", "finished"}),
    ],
)
def test_what_a_line_is(call: Call, emit: str, types: set[str]) -> None:
    outcome = call("rollout", "agent.yaml", "tasks.jsonl", "--emit", emit)
    assert outcome.code == 0
    assert {line["type"] for line in outcome.lines} == types


def test_the_summary(call: Call, place: Path) -> None:
    outcome = call("rollout", "agent.yaml", "tasks.jsonl", "--summary", "summary.json")
    summary = json.loads((place / "summary.json").read_text())
    assert summary["by_status"] == {"completed": 5}
    assert summary["calls"] == 5
    for heading in ("rollouts/s", "steps/s", "tool calls/s", "tool latency", "own time a step"):
        assert heading in outcome.err
    for heading in ("loop lag", "peak memory", "failures", "p50", "p95", "p99"):
        assert heading in outcome.err


def test_a_failed_rollout_is_exit_code_1(call: Call, place: Path) -> None:
    write_tasks(place / "mixed.jsonl", [task(0), {"input": "no plan"}])
    outcome = call("rollout", "agent.yaml", "mixed.jsonl", "--retries", "2")
    assert outcome.code == 1
    assert sorted(line["status"] for line in outcome.lines) == ["completed", *["failed"] * 3]
    assert "model 3" in outcome.err


def test_a_limit_is_no_failure(call: Call, place: Path) -> None:
    (place / "short.yaml").write_text((place / "agent.yaml").read_text() + "limits: {steps: 1}\n")
    outcome = call("rollout", "short.yaml", "tasks.jsonl")
    assert outcome.code == 0
    assert {line["status"] for line in outcome.lines} == {"limit"}


def test_no_tasks_are_no_lines(call: Call, place: Path) -> None:
    write_tasks(place / "none.jsonl", [])
    outcome = call("rollout", "agent.yaml", "none.jsonl")
    assert (outcome.code, outcome.out) == (0, "")


def test_what_came_before_a_broken_line_is_kept(call: Call, place: Path) -> None:
    with (place / "tasks.jsonl").open("a") as file:
        file.write("{broken\n")
    outcome = call("rollout", "agent.yaml", "tasks.jsonl")
    assert outcome.code == 2
    assert len(outcome.lines) == 5
    assert "tasks.jsonl:6" in outcome.err


def test_a_server_that_cannot_be_had(call: Call, place: Path) -> None:
    (place / "served.yaml").write_text(
        "name: served\nmodel: plan\ntools: [{mcp: gone}]\n"
        "mcp_servers: {gone: {command: '{python}', args: [-c, 'exit(3)']}}\n"
    )
    outcome = call("rollout", "served.yaml", "tasks.jsonl")
    assert outcome.code == 1
    assert "error: gone" in outcome.err or "error: server 'gone'" in outcome.err
    assert "Traceback" not in outcome.err.partition("error: ")[2]
    assert not outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'AGENT'"),
        (("agent.yaml",), "Missing argument 'TASKS'"),
        (("agnt.yaml", "tasks.jsonl"), "did you mean 'agent.yaml'?"),
        (("agent.yaml", "task.jsonl"), "did you mean 'tasks.jsonl'?"),
        (("agent.yaml", "tasks.jsonl", "--concurrency", "0"), "greater than or equal to 1"),
        (("agent.yaml", "tasks.jsonl", "--concurrency", "many"), "valid integer"),
        (("agent.yaml", "tasks.jsonl", "--concurency", "3"), "--concurrency"),
        (("agent.yaml", "tasks.jsonl", "--emit", "stepz"), "'steps'"),
        (("agent.yaml", "tasks.jsonl", "--grace", "-1"), "greater than or equal to 0"),
        (("agent.yaml", "tasks.jsonl", "--summary", "no/where.json"), "cannot write no/where.json"),
    ],
)
def test_wrong_input(call: Call, arguments: tuple[str, ...], said: str) -> None:
    outcome = call("rollout", *arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert "Traceback" not in outcome.err
    assert not outcome.out


def test_a_wrong_agent_file_says_where(call: Call, place: Path) -> None:
    (place / "wrong.yaml").write_text("name: wrong\nmodle: plan\nmodel: plan\n")
    outcome = call("rollout", "wrong.yaml", "tasks.jsonl")
    assert outcome.code == 2
    assert "wrong.yaml:2:1" in outcome.err
    assert "did you mean 'model'?" in outcome.err
