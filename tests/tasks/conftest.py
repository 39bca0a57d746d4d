"""What all tests of tasks share."""

import pytest

import nexau.cli.program


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process keeps its garbage collector and its logging."""
    monkeypatch.setattr(nexau.cli.program, "tune_gc", lambda: None)
    monkeypatch.setattr(nexau.cli.program.logs, "configure", lambda level: None)
