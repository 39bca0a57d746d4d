"""`bench.compare`: what counts as a regression, and what does not."""

import json
from pathlib import Path

import pytest

from bench import compare


def report(path: Path, **figures: tuple[float, float, float]) -> str:
    """A report with one cell; each figure is (least, median, most)."""
    spreads = {
        name: {"least": least, "median": median, "most": most}
        for name, (least, median, most) in figures.items()
    }
    place = {"case": "in-process", "concurrency": 64, "contender": "nexau"}
    lines = [{"type": "environment"}, {"type": "cell", **place, "figures": spreads}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.mark.parametrize(
    ("new", "verdict", "code"),
    [
        ((0.118, 0.12, 0.125), "worse", 1),
        ((0.101, 0.12, 0.125), "same", 0),  # within what the old report's rounds differ
        ((0.103, 0.104, 0.105), "same", 0),  # within the tolerance
        ((0.08, 0.09, 0.094), "better", 0),
    ],
)
def test_less_cpu_is_better(
    new: tuple[float, float, float],
    verdict: str,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = report(tmp_path / "old", cpu_ms=(0.095, 0.1, 0.102))
    assert compare.main([before, report(tmp_path / "new", cpu_ms=new)]) == code
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["verdict"] == verdict
    assert row["ratio"] == round(new[1] / 0.1, 4)


def test_more_efficiency_is_better(tmp_path: Path) -> None:
    old = report(tmp_path / "old", efficiency=(0.96, 0.97, 0.98))
    low = report(tmp_path / "low", efficiency=(0.8, 0.81, 0.82))
    assert compare.main([old, low]) == 1
    assert compare.main([low, old]) == 0


def test_rates_count_when_asked_for(tmp_path: Path) -> None:
    old = report(tmp_path / "old", cpu_ms=(1, 1, 1), rate=(99, 100, 101))
    new = report(tmp_path / "new", cpu_ms=(1, 1, 1), rate=(49, 50, 51))
    assert compare.main([old, new]) == 0
    assert compare.main([old, new, "--rates"]) == 1


def test_files_that_are_no_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = report(tmp_path / "good", cpu_ms=(1, 1, 1))
    (tmp_path / "bad").write_text('{"type": "environment"}\n[1]\n')
    (tmp_path / "empty").write_text("")
    for name, said in (("bad", "bad:2"), ("empty", "holds no cell"), ("none", "No such file")):
        assert compare.main([good, str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err.replace("\n", "")
    other = report(tmp_path / "other", rate=(1, 1, 1))
    assert compare.main([good, other]) == 2
    assert "in common" in capsys.readouterr().err
