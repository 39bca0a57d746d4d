"""`nexau pipeline`: from a sentence to training data; goes on where it was killed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nexau.cli.main import app
from nexau.cli.pipelinestages import Pipeline, Plan, StageFailed
from nexau.journal.files import DiskFiles

SPEC = "a clinic's appointment desk with insurance rules"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "no/such/place"], "no directory"),
        (["--mix", "golf=1"], "did you mean 'gold'"),
        (["--mix", "gold=much"], "wants a weight"),
        (["--formats", "opanai"], "did you mean 'openai'"),
        (["--mix", "gold=-1"], "0 or more"),
        (["--mix", "gold=0"], "every weight is 0"),
        (["--worlds", "0"], "--worlds"),
    ],
)
def test_wrong_input_is_said_before_anything_is_made(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    out = ["--out", str(tmp_path / "p")]
    done = CliRunner().invoke(app, ["pipeline", SPEC, *out, *arguments])
    assert done.exit_code == 2
    assert says in done.stderr
    assert not (tmp_path / "p").exists() or not list((tmp_path / "p").iterdir())


def test_an_empty_specification_and_a_place_that_is_none_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["pipeline", " ", "--out", str(tmp_path / "p")])
    assert (done.exit_code, "SPEC is empty" in done.stderr) == (2, True)
    assert not (tmp_path / "p").exists()
    (tmp_path / "file").write_text("x")
    done = CliRunner().invoke(app, ["pipeline", SPEC, "--out", str(tmp_path / "file")])
    assert (done.exit_code, "File exists" in done.stderr) == (2, True)
    (tmp_path / "pipeline.json").write_text('{"spec":')
    done = CliRunner().invoke(app, ["pipeline", SPEC, "--out", str(tmp_path)])
    assert (done.exit_code, "pipeline.json: not the plan" in done.stderr) == (2, True)


def plan(tasks: int = 10) -> Plan:
    return Plan.read(SPEC, 1, 2, tasks, 3, 7, 8, "gold=1", "openai")


def test_a_folder_is_held_to_what_was_asked_for(tmp_path: Path) -> None:
    Pipeline(plan(), tmp_path)
    Pipeline(plan(), tmp_path)
    with pytest.raises(ValueError, match="begun with tasks 10, not 11"):
        Pipeline(plan(11), tmp_path)


def test_a_stage_is_done_once_and_a_failed_one_is_told(tmp_path: Path) -> None:
    made = Pipeline(plan(), tmp_path)
    made.stage("version", "version", into="version.json")
    assert (tmp_path / "version.json").stat().st_size
    (tmp_path / "version.json").unlink()
    again = Pipeline(plan(), tmp_path)
    again.stage("version", "version", into="version.json")
    assert not (tmp_path / "version.json").exists()
    with pytest.raises(StageFailed, match=r"nowhere\.yaml"):
        again.stage("broken", "world", "check", "nowhere.yaml")
    with (tmp_path / "stages.jsonl").open("ab") as lines:
        lines.write(b'{"stage": "torn')
    torn = Pipeline(plan(), tmp_path)
    assert "torn" not in torn.done
    torn.stage("version again", "version", into="")
    assert list(Pipeline(plan(), tmp_path).done) == ["version", "version again"]


def test_two_pipelines_in_one_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexau.cli.pipelinestages.LOCK_SECONDS", 0.0)
    files = DiskFiles()
    held = files.lock(tmp_path / "lock")
    try:
        done = CliRunner().invoke(app, ["pipeline", SPEC, "--out", str(tmp_path)])
    finally:
        files.close(held)
    assert done.exit_code == 2
    assert f"is in use by process {os.getpid()}" in done.stderr
    assert not (tmp_path / "stages.jsonl").exists()


SIZE = "--worlds 1 --agents 1 --tasks 6 --keep 99 --mix gold=2,recover --formats openai".split()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that nothing befell."""
    out = tmp_path_factory.mktemp("whole") / "p"
    done = CliRunner().invoke(app, ["pipeline", SPEC, *SIZE, "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.slow
def test_a_sentence_becomes_training_data(whole: Path) -> None:
    funnel = json.loads((whole / "funnel.json").read_bytes())
    assert funnel["worlds"] == 1
    assert funnel["tasks accepted"] == 6
    assert funnel["rollouts"] == funnel["tasks assigned"] > 0
    assert funnel["mean reward"] == 1.0
    assert funnel["exported openai"] > 0
    assert (whole / "report.html").stat().st_size
    stages = (whole / "stages.jsonl").read_bytes()
    again = CliRunner().invoke(app, ["pipeline", SPEC, *SIZE, "--out", str(whole)])
    assert again.exit_code == 0
    assert (whole / "stages.jsonl").read_bytes() == stages


KILLS = ("tasks/*.jsonl", "runs/*/trajectories/*.jsonl", "logs/check.txt")
"""Once there is such a file, the pipeline is killed: among the tasks, among the rollouts, late."""
LEFT_OUT = ("started_at", "seconds", "timing", "queue", "notes", "index")
"""Times; that a rollout was resumed; and the place of a step among those of agents that work side
by side."""


@pytest.mark.slow
def test_a_pipeline_that_was_killed_ends_as_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    command = ["-m", "nexau.cli.main", "pipeline", SPEC, *SIZE, "--out", str(out)]
    for pattern in KILLS:
        process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None and not any(map(_has_bytes, out.glob(pattern))):
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for folder in ("worlds", "agents", "tasks"):
        assert _files(out / folder) == _files(whole / folder)
    assert _records(out / "train.openai.jsonl") == _records(whole / "train.openai.jsonl")
    assert _rollouts(out) == _rollouts(whole)
    funnels = [json.loads((each / "funnel.json").read_bytes()) for each in (out, whole)]
    assert {**funnels[0], "seconds": 0} == {**funnels[1], "seconds": 0}


def _has_bytes(file: Path) -> bool:
    return file.stat().st_size > 0


def _files(folder: Path) -> dict[Path, bytes]:
    return {
        each.relative_to(folder): each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }


def _records(file: Path) -> list[Any]:
    """Without their lineage, which is a hash of the rollout's line with its times."""
    made = [json.loads(line) | {"lineage": ""} for line in file.read_bytes().splitlines()]
    return sorted(made, key=json.dumps)


def _rollouts(out: Path) -> dict[str, Any]:
    """Final ones, once each, without times."""
    made: dict[str, Any] = {}
    for file in out.glob("runs/*/trajectories/*.jsonl"):
        for line in file.read_bytes().splitlines():
            rollout = json.loads(line)
            assert rollout["id"] not in made
            rollout["steps"].sort(key=lambda step: (step["agent"], step["turn"]))
            made[rollout["id"]] = _timeless(rollout)
    return made


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(each) for name, each in value.items() if name not in LEFT_OUT}
    return [_timeless(each) for each in value] if isinstance(value, list) else value
