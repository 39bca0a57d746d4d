"""Outputs that cannot be written: one line says which, why, and what there is of it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call, Start, task, write_tasks

FULL = Path("/dev/full")
WAIT = 150

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def told(start: Start, *arguments: str) -> tuple[int, str]:
    """Of a command whose stdout is a full disk: its exit code and what it says."""
    with FULL.open("wb") as full:
        running = start(*arguments, stdout=full)
        _, err = running.communicate(timeout=WAIT)
    text = err.decode()
    assert "Traceback" not in text
    return running.returncode, text.partition("error: ")[2]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_stdout_of_a_run(process: Start, workers: str) -> None:
    code, said = told(process, "rollout", "agent.yaml", "tasks.jsonl", "--workers", workers)
    assert code == 1
    assert said == (
        "stdout could not be written to the end: the disk is full (No space left on device); "
        "0 whole lines are there\n  a run with --out DIR could be gone on with\n"
    )


def test_a_run_that_is_kept_is_there_whole(process: Start, call: Call) -> None:
    arguments = ("rollout", "agent.yaml", "tasks.jsonl", "--out", "run", "--concurrency", "1")
    code, said = told(process, *arguments)
    assert code == 1
    assert said.endswith(
        "  all is kept in run: nexau runs cat run has the rollouts that have ended, "
        "nexau rollout --resume run goes on\n"
    )
    assert call("rollout", "--resume", "run").code == 0
    found = call("runs", "cat", "run").lines
    assert sorted(each["id"] for each in found) == [f"t{i}/0" for i in range(5)]
    assert {each["status"] for each in found} == {"completed"}


def test_a_sink_is_named(call: Call) -> None:
    ended = call("rollout", "agent.yaml", "tasks.jsonl", "--sink", str(FULL))
    assert ended.code == 1
    assert "error: --sink /dev/full could not be written to the end: the disk is full" in ended.err


def test_other_commands(process: Start, call: Call, place: Path) -> None:
    (place / "all.jsonl").write_text(call("rollout", "agent.yaml", "tasks.jsonl").out)
    commands = (
        ("export", "all.jsonl"),
        ("curate", "all.jsonl"),
        ("schema", "agent"),
        ("run", "agent.yaml", "x"),
        ("--help",),
    )
    for arguments in commands:
        code, said = told(process, *arguments)
        assert (arguments, code) == (arguments, 1)
        assert "No space left on device" in said
        assert "stdout" in said


def test_no_summary_of_a_run_that_was_refused(call: Call, place: Path) -> None:
    (place / "bad.jsonl").write_text("no json\n")
    refused = call("rollout", "agent.yaml", "bad.jsonl")
    assert refused.code == 2
    assert refused.err.startswith("error: bad.jsonl:1: not JSON")
    write_tasks(place / "half.jsonl", [task(0)])
    with (place / "half.jsonl").open("a") as file:
        file.write("no json\n")
    begun = call("rollout", "agent.yaml", "half.jsonl")
    assert begun.code == 2
    assert "rollouts" in begun.err
