"""`nexau runs`: state, counts and integrity of kept runs."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call, task, write_tasks


@pytest.fixture
def run(call: Call, place: Path) -> Path:
    """Five rollouts that were completed, and one that failed twice."""
    write_tasks(place / "mixed.jsonl", [*[task(0) for _ in range(5)], {"input": "no plan"}])
    call("rollout", "agent.yaml", "mixed.jsonl", "--retries", "1", "--out", "runs/one")
    return place / "runs" / "one"


def test_list_and_show(call: Call, run: Path) -> None:
    (listed,) = call("runs", "list", "runs").lines
    assert listed["state"] == "complete"
    assert listed["counts"]["by_status"] == {"completed": 5, "failed": 1}
    assert listed["counts"]["failures"] == {"model": 1}
    assert listed["counts"]["attempts"] == 7
    (shown,) = call("runs", "show", "runs/one").lines
    assert shown["run"] == listed
    assert shown["manifest"]["tasks"].endswith("mixed.jsonl")


def test_cat_prints_the_final_ones(call: Call, run: Path) -> None:
    assert len(call("runs", "cat", "runs/one").lines) == 6
    assert len(call("runs", "cat", "runs/one", "--attempts").lines) == 7


def test_verify_tells_what_was_altered(call: Call, run: Path) -> None:
    sound = call("runs", "verify", "runs/one")
    assert (sound.code, sound.lines[0]["sound"], sound.lines[0]["lines"]) == (0, True, 7)
    segment = run / "trajectories" / "000001.jsonl"
    data = bytearray(segment.read_bytes())
    # In a rollout that was completed: an attempt that was tried again is not made good.
    data[data.index(b'"status":"completed"') + 12] ^= 4
    segment.write_bytes(data)
    altered = call("runs", "verify", "runs/one")
    assert altered.code == 1
    assert "1 lines are not what was written" in altered.lines[0]["problems"][0]
    # Gone on with, the one that is lost is run again.
    again = call("rollout", "--resume", "runs/one")
    assert len(again.lines) == 1
    assert "repaired: trajectories/000001.jsonl: 1 lines" in again.err
    assert call("runs", "verify", "runs/one").code == 0
    assert list((run / "damaged").iterdir())


def test_a_torn_end_does_no_harm(call: Call, run: Path) -> None:
    with (run / "trajectories" / "000001.jsonl").open("ab") as file:
        file.write(b'{"type":"trajec')
    with (run / "journal" / "000001.jsonl").open("ab") as file:
        file.write(b'["event",0,0,')
    torn = call("runs", "verify", "runs/one")
    assert torn.code == 0
    assert len(torn.lines[0]["notes"]) == 2
    again = call("rollout", "--resume", "runs/one")
    assert again.err.count("repaired: ") == 2
    assert not call("runs", "verify", "runs/one").lines[0]["problems"]


def test_a_run_of_a_format_to_come_is_refused(call: Call, place: Path) -> None:
    call("rollout", "agent.yaml", "tasks.jsonl", "--out", "run")
    manifest = place / "run" / "run.json"
    manifest.write_text(manifest.read_text().replace("nexau-run/2", "nexau-run/3"))
    for command in (("rollout", "--resume"), ("runs", "show"), ("runs", "verify")):
        outcome = call(*command, "run")
        assert outcome.code == 2
        said = "format 'nexau-run/3' is not known here; this version reads 'nexau-run/1' and"
        assert said in " ".join(outcome.err.split())


def test_no_such_run(call: Call, place: Path) -> None:
    for command in ("show", "verify", "cat"):
        outcome = call("runs", command, ".")
        assert outcome.code == 2
        assert "holds no run" in outcome.err
    assert call("runs", "list", ".").lines == []
