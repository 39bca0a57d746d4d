"""`--workers` of check-data, export and measure: the same bytes, the same errors."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cli.conftest import Call
from tests.synth.data.rollouts import lines, rollout


@pytest.fixture
def file(place: Path) -> Path:
    made = [
        replace(rollout(n), status="limit", limit="steps") if n % 7 == 0 else rollout(n)
        for n in range(400)
    ]
    (place / "t.jsonl").write_bytes(lines(*made))
    return place / "t.jsonl"


@pytest.mark.slow
def test_the_commands_write_the_same_with_workers(call: Call, file: Path, place: Path) -> None:
    source = str(file)
    outputs: list[list[bytes]] = []
    for workers in ("1", "3"):
        w = ["--workers", workers]
        found = call("check-data", source, *w, "--out", "clean.jsonl")
        exported = call("export", source, *w, "--format", "hermes", "--out", "train.jsonl")
        measured = call("measure", source, *w, "--html", "page.html")
        assert (found.code, exported.code, measured.code) == (0, 0, 0), exported.err
        outputs.append([
            found.out.encode(), measured.out.encode(),
            *((place / name).read_bytes() for name in ("clean.jsonl", "train.jsonl", "page.html")),
        ])  # fmt: skip
    assert outputs[0] == outputs[1]


def test_wrong_lines_are_told_with_their_numbers(call: Call, file: Path, place: Path) -> None:
    file.write_bytes(file.read_bytes() + b"nonsense\n")
    outcome = call("export", str(file), "--workers", "2", "--out", "train.jsonl")
    assert outcome.code == 2
    assert "t.jsonl:401:1: not a trajectory" in outcome.err
    assert not (place / "train.jsonl").exists()
    outcome = call("check-data", str(file), "--workers", "2", "--duplicates")
    assert outcome.code == 2
    assert "--duplicates" in outcome.err
