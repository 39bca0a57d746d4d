"""`nexau pipeline`: from a sentence to training data; goes on where it was killed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nexau.cli.main import app
from nexau.cli.pipelinestages import Pipeline, Plan, StageFailed

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


@pytest.mark.slow
def test_a_sentence_becomes_training_data(tmp_path: Path) -> None:
    out = tmp_path / "p"
    arguments = ["pipeline", SPEC, "--worlds", "1", "--agents", "2", "--tasks", "10", "--keep", "3"]
    done = CliRunner().invoke(app, [*arguments, "--mix", "gold=1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    funnel = json.loads((out / "funnel.json").read_bytes())
    assert funnel["worlds"] == 1
    assert funnel["tasks accepted"] == 10
    assert funnel["rollouts"] == funnel["tasks assigned"] > 0
    assert funnel["mean reward"] == 1.0
    assert funnel["exported openai"] > 0
    assert (out / "report.html").stat().st_size
    stages = (out / "stages.jsonl").read_bytes()
    again = CliRunner().invoke(app, [*arguments, "--mix", "gold=1", "--out", str(out)])
    assert again.exit_code == 0
    assert (out / "stages.jsonl").read_bytes() == stages
