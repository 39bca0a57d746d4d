"""`nexau bench`: the questions of bench/, listed and passed on."""

from pathlib import Path

import pytest

import nexau.cli.bench
from tests.cli.conftest import Call, Start

ECHO = (
    '"""Is this a question?"""\nif __name__ == "__main__":\n    import sys; print(sys.argv[1:])\n'
)


def test_the_questions(call: Call) -> None:
    outcome = call("bench")
    assert outcome.code == 0
    questions = {line["benchmark"]: line["question"] for line in outcome.lines}
    assert "?" in questions["rollouts"]


def test_arguments_are_passed_on(process: Start) -> None:
    running = process("bench", "rollouts", "--help")
    out, _ = running.communicate(timeout=150)
    assert running.returncode == 0
    assert b"bench.rollouts" in out


@pytest.mark.parametrize(
    ("given", "said"), [("rolouts", "did you mean 'rollouts'?"), ("xyzzy", "no benchmark 'xyzzy'")]
)
def test_a_question_there_is_not(call: Call, given: str, said: str) -> None:
    outcome = call("bench", given)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_wheel_has_none(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nexau.cli.bench, "_root", lambda: tmp_path)
    outcome = call("bench")
    assert outcome.code == 2
    assert "checkout" in outcome.err


def test_only_programs_that_ask_are_questions(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "echo.py").write_text(ECHO)
    (folder / "helper.py").write_text('"""Helps. Does it?"""\n')
    (folder / "server.py").write_text(ECHO.replace("?", "."))
    monkeypatch.setattr(nexau.cli.bench, "_root", lambda: tmp_path)
    assert call("bench").lines == [{"benchmark": "echo", "question": "Is this a question?"}]
