"""What a server does wrong a thousand times is logged once a second, with no traceback."""

import logging

import pytest
from mcp.client import session

from nexau.transports.sdklog import Sparing


def record(message: str, path: str | None = session.__file__) -> logging.LogRecord:
    try:
        raise ValueError("a field is missing")
    except ValueError as error:
        told = (type(error), error, error.__traceback__)
    return logging.LogRecord("client", logging.WARNING, str(path), 1, message, ("x",), told)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr("nexau.transports.sdklog.time.monotonic", lambda: clock[0])
    return clock


def test_one_a_second_of_each_kind_without_its_traceback(now: list[float]) -> None:
    sparing = Sparing()
    first = record("Failed to validate: %s")
    assert sparing.filter(first)
    assert (first.getMessage(), first.exc_info) == ("Failed to validate: x (ValueError)", None)
    assert not any(sparing.filter(record("Failed to validate: %s")) for _ in range(1_000))
    assert sparing.filter(record("another: %s"))
    now[0] += 1
    assert sparing.filter(record("Failed to validate: %s"))


def test_another_logger_of_that_name_is_let_be() -> None:
    sparing = Sparing()
    theirs = record("one: %s", "app.py")
    assert all(sparing.filter(theirs) for _ in range(3))
    assert theirs.exc_info is not None
