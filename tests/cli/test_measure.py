"""`nexau measure`: one line, a page, and refusals."""

from pathlib import Path

from tests.cli.conftest import Call
from tests.synth.data.rollouts import lines, rollout


def test_a_line_and_a_page(call: Call, place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / "a.jsonl").write_bytes(lines(*[rollout(n) for n in range(4)]))
    (place / "run" / "other.jsonl").write_text('{"type":"lineage","id":"x:1","kind":"x"}\n')
    outcome = call("measure", "run", "--html", "report.html")
    assert outcome.code == 0
    (made,) = outcome.lines
    assert made["trajectories"] == 4
    assert made["deficit"] in ("complexity", "diversity", "fidelity")
    assert "in deficit" in outcome.err
    assert (place / "report.html").read_text().startswith("<!doctype html>")


def test_wrong_input(call: Call, place: Path) -> None:
    (place / "t.jsonl").write_bytes(lines(rollout()))
    for arguments in (["gone"], ["tasks.jsonl"], ["t.jsonl", "--profile", "agent.yaml"],
                      ["t.jsonl", "--html", "no/where.html"]):  # fmt: skip
        outcome = call("measure", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "Traceback" not in outcome.err
