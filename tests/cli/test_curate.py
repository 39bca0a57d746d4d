"""`nexau curate`: the kept, and why, beside each other."""

import json
from pathlib import Path

from nexau.synth.ancestry import trace
from tests.cli.conftest import Call
from tests.synth.data.rollouts import lines, rollout


def test_the_kept_and_the_report(call: Call, place: Path) -> None:
    (place / "a.jsonl").write_bytes(lines(*[rollout(n) for n in range(8)]))
    (place / "b.jsonl").write_bytes(
        b'{"type":"step"}\n' + lines(*[rollout(n) for n in range(8, 12)])
    )
    (place / "evaluation.jsonl").write_bytes(json.dumps({"input": rollout(3).input}).encode())
    outcome = call(
        "curate",
        "a.jsonl",
        "b.jsonl",
        "-k",
        "5",
        "-o",
        "kept.jsonl",
        "--against",
        "evaluation.jsonl",
    )
    assert outcome.code == 0
    kept = (place / "kept.jsonl").read_bytes().splitlines()
    assert len(kept) == 5
    whole = (place / "a.jsonl").read_bytes() + (place / "b.jsonl").read_bytes()
    assert all(line in whole.splitlines() for line in kept)
    report = json.loads((place / "kept.jsonl.report.json").read_text())
    assert report["seen"] == 12
    assert report["refused"] == {"contaminated: is an evaluation task": 1}
    assert [each["rank"] for each in report["kept"]] == [1, 2, 3, 4, 5]
    assert all("stands for" in each["reason"] for each in report["kept"])
    assert len(trace("kept.jsonl", [place]).parents) == 5


def test_wrong_input_and_nothing_to_keep(call: Call, place: Path) -> None:
    (place / "t.jsonl").write_bytes(lines(rollout(1, status="failed")))
    assert call("curate", "t.jsonl", "-o", "k.jsonl").code == 1
    for arguments in (["-"], ["gone.jsonl"], ["t.jsonl", "--against", "gone"], ["tasks.jsonl"]):
        outcome = call("curate", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "Traceback" not in outcome.err
