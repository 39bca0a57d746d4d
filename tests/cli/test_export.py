"""`nexau export`: files that are whole, a quarantine beside them, clear refusals."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.synth.data.rollouts import lines, rollout


@pytest.fixture
def file(place: Path) -> Path:
    (place / "t.jsonl").write_bytes(lines(*[rollout(n) for n in range(5)]))
    return place / "t.jsonl"


def test_to_a_file_and_to_stdout(call: Call, file: Path, place: Path) -> None:
    outcome = call("export", "t.jsonl", "--format", "hermes", "--out", "h.jsonl")
    assert outcome.code == 0
    assert "10 records of 5 trajectories" in outcome.err
    written = (place / "h.jsonl").read_text()
    assert call("export", "t.jsonl", "-f", "hermes").out == written
    assert sorted(p.name for p in place.glob("h.*")) == ["h.jsonl"]


def test_what_does_not_fit_lies_beside_it(call: Call, file: Path, place: Path) -> None:
    outcome = call("export", "t.jsonl", "--format", "verl", "--out", "v.jsonl")
    assert outcome.code == 1, "nothing could be written"
    refused = [json.loads(t) for t in (place / "v.jsonl.quarantine.jsonl").read_text().splitlines()]
    assert [each["line"] for each in refused] == [1, 2, 3, 4, 5]
    assert all("no token ids" in each["reason"] for each in refused)


def test_parquet(call: Call, file: Path, place: Path) -> None:
    outcome = call("export", "t.jsonl", "-f", "openai", "--flattened", "-o", "o.parquet")
    assert outcome.code == 0
    assert (place / "o.parquet").stat().st_size > 0
    assert sorted(p.name for p in place.glob("o.*")) == ["o.parquet"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t.jsonl", "-f", "hermez"], "did you mean 'hermes'"),
        (["gone.jsonl"], "no file gone.jsonl"),
        (["tasks.jsonl"], "tasks.jsonl: holds no trajectory"),
        (["t.jsonl", "-o", "no/such/folder.jsonl"], "cannot write"),
        ([], "name a file"),
    ],
)
def test_wrong_input(call: Call, file: Path, place: Path, arguments: list[str], said: str) -> None:
    before = sorted(place.iterdir())
    outcome = call("export", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(place.iterdir()) == before


def test_a_broken_line_leaves_nothing_half_written(call: Call, file: Path, place: Path) -> None:
    with file.open("ab") as more:
        more.write(b'{"type":"trajectory"}\n')
    outcome = call("export", "t.jsonl", "-o", "x.jsonl")
    assert outcome.code == 2
    assert "t.jsonl:6:1" in outcome.err
    assert not list(place.glob("x.*"))


def test_the_formats_are_listed(call: Call) -> None:
    names = [line["format"] for line in call("export", "--formats").lines]
    assert {"openai", "qwen3-coder", "atif", "verl"} <= set(names)
