"""When to send a request again."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexau.transports.retry import RETRIED, asked_wait, backoff


@given(st.integers(0, 2000), st.floats(0, 1, exclude_max=True))
def test_backoff_has_full_jitter_and_a_cap(attempt: int, chance: float) -> None:
    wait = backoff(attempt, chance, base=0.5, cap=30.0)
    assert wait == pytest.approx(chance * min(30.0, 0.5 * 2.0 ** min(attempt, 100)))
    assert 0 <= wait < 30


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:40 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT",
          "date": "Thu, 01 Jan 1970 00:01:30 GMT"}, 10.0),
        ({"retry-after": "Thu, 99 Jan 1970 00:01:40 GMT"}, None),
    ],
)  # fmt: skip
def test_what_an_answer_asks_for(headers: dict[str, str], seconds: Any) -> None:
    assert asked_wait(headers, wall_clock=60.0) == seconds


def test_which_statuses_pass() -> None:
    assert {408, 409, 429, 500, 502, 503, 504, 529} <= RETRIED
    assert not {200, 400, 401, 403, 404, 422} & RETRIED
