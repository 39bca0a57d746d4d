"""Pictures of reports: bars, and flame graphs."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import bars, flame

SAMPLE = {"type": "sample", "case": "in-process", "concurrency": 64, "wall": 2.0, "rollouts": 100}


def test_bars_of_a_report_that_was_broken_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [
        {**SAMPLE, "contender": "nexau", "cpu": 0.1},
        {**SAMPLE, "contender": "nexau", "cpu": 0.3},
        {**SAMPLE, "contender": "other", "cpu": 2.0},
        {**SAMPLE, "contender": "broken", "error": "it hung"},
    ]
    report = tmp_path / "report.jsonl"
    report.write_text("".join(json.dumps(each) + "\n" for each in samples))
    out = tmp_path / "bars.png"
    assert bars.main([str(report), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["contender"], each["cpu_ms"], each["rate"]) for each in lines] == [
        ("nexau", 2.0, 50.0),
        ("other", 20.0, 50.0),
    ]
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_flame_graph_holds_what_matters() -> None:
    stacks = [
        "main (x.py);run (x.py);Slot._work (nexau/rollout.py);ask (nexau/actors/ref.py) 60",
        "main (x.py);run (x.py);Slot._work (nexau/rollout.py);<encode> (nexau/output/sinks.py) 39",
        "main (x.py);run (x.py);Slot._work (nexau/rollout.py);rare (nexau/output/sinks.py) 1",
        "main (x.py);other (x.py) 500",
    ]
    top = flame.read(stacks, "Slot._work")
    assert top.count == 100
    drawn = flame.draw(top, "a title", least=0.02)
    titles = [
        each.text or ""
        for each in ElementTree.fromstring(drawn).iter()
        if each.tag.endswith("title")
    ]
    assert "ask (nexau/actors/ref.py): 60.0 %" in titles
    assert "<encode> (nexau/output/sinks.py): 39.0 %" in titles
    assert not any(title.startswith(("rare", "other", "main")) for title in titles)
