"""What released versions have written stays readable, and unfinished runs of theirs go on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nexau.fold import fold
from nexau.journal.overview import state_of, trajectories_of, verify
from nexau.models.replay import read_trajectories
from nexau.trajectory import Event, Step, Trajectory

RELEASED = Path(__file__).parent / "released"


def lines(path: Path) -> Iterator[bytes]:
    yield from path.read_bytes().splitlines()


@pytest.fixture(params=sorted(path.name for path in RELEASED.iterdir() if path.is_dir()))
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(RELEASED / request.param, tmp_path / "released")
    return tmp_path / "released"


def test_lines_of_each_kind(released: Path) -> None:
    trajectories = [
        msgspec.json.decode(line, type=Trajectory)
        for line in lines(released / "trajectories.jsonl")
    ]
    assert {each.status for each in trajectories} == {"completed", "failed"}
    assert any(not each.final for each in trajectories)
    assert read_trajectories(released / "trajectories.jsonl") == trajectories
    steps = [msgspec.json.decode(line, type=Step) for line in lines(released / "steps.jsonl")]
    events = [msgspec.json.decode(line, type=Event) for line in lines(released / "events.jsonl")]
    folded = [
        step
        for rollout in dict.fromkeys(event.rollout for event in events)
        for step in fold([event for event in events if event.rollout == rollout])
    ]
    assert [(step.agent, step.calls, step.response) for step in folded] == [
        (step.agent, step.calls, step.response)
        for step in sorted(steps, key=lambda step: [e.rollout for e in events].index(step.rollout))
    ]


def test_a_run_that_is_complete(released: Path) -> None:
    state = state_of(released / "run")
    assert (state.state, state.counts.ended, state.counts.attempts) == ("complete", 6, 8)
    assert state.counts.by_status == {"completed": 4, "failed": 2}
    assert verify(released / "run").sound
    assert len(list(trajectories_of(released / "run"))) == 8


def test_a_run_that_was_killed_goes_on(released: Path) -> None:
    before = state_of(released / "killed")
    assert (before.state, before.counts.ended) == ("unfinished", 2)
    assert before.turns_on_record
    command = (sys.executable, "-m", "nexau.cli.main", "rollout", "agent.yaml", "tasks.jsonl")
    done = subprocess.run(
        (*command, "--resume", "killed"),
        cwd=released,
        env={**os.environ, "PYTHONPATH": str(released)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr  # a task without a plan fails, then as now
    manifest = json.loads((released / "killed" / "run.json").read_text())
    assert manifest["format"] == "nexau-run/2"
    after = state_of(released / "killed")
    assert (after.state, after.counts.ended) == ("complete", 6)
    assert after.counts.by_status == {"completed": 4, "failed": 2}
    assert verify(released / "killed").sound
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(each.get("final", True) for each in shown) == 4
    assert any("resumed after" in note for each in shown for note in each.get("notes", ()))
