"""When an endpoint may be asked, by tables: the clock is an argument."""

import pytest
from hypothesis import given, strategies as st

from nexau.models.pacing import (
    COOLDOWN,
    FAILURES,
    LONGEST_COOLDOWN,
    RETRIES_A_SECOND,
    RETRIES_AT_ONCE,
    Health,
    Rate,
    RetryBudget,
)


@pytest.mark.parametrize(
    ("per_minute", "asked", "waits"),
    [
        # One at a time below one a second.
        (60, [(0, 1), (0, 1), (0, 1)], [0, 1, 2]),
        (30, [(0, 1), (0, 1), (10, 1)], [0, 2, 0]),
        # A second's worth at once above.
        (120, [(0, 1), (0, 1), (0, 1), (0, 1)], [0, 0, 0.5, 1]),
        (120, [(0, 1), (0, 1), (100, 1), (100, 1), (100, 1)], [0, 0, 0, 0, 0.5]),
        # More than the bucket holds goes when it is full, and is paid by those after.
        (600, [(0, 100), (0, 10), (12, 10)], [0, 10, 0]),
        (600, [(0, 5), (0, 100), (0, 1)], [0, 0.5, 9.6]),
        # A clock that stands still or runs back gains nothing.
        (60, [(5, 1), (5, 1), (4, 1)], [0, 1, 2]),
    ],
)
def test_rates(per_minute: float, asked: list[tuple[float, float]], waits: list[float]) -> None:
    rate = Rate(per_minute)
    for (now, amount), wait in zip(asked, waits, strict=True):
        assert rate.wait(now, amount) == pytest.approx(wait)
        assert rate.reserve(now, amount) == pytest.approx(wait)


def test_what_is_put_back_is_there_for_the_next() -> None:
    rate = Rate(60)
    assert rate.reserve(0, 1) == 0
    assert rate.reserve(0, 1) == 1
    rate.put_back(1)
    assert rate.reserve(0, 1) == 1
    rate.put_back(100)  # never more than the bucket holds
    assert [rate.reserve(0, 1), rate.reserve(0, 1)] == [0, 1]
    rate.put_back(-5)
    assert rate.reserve(0, 1) == 7


@given(
    st.floats(1, 10_000),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 50)), min_size=2, max_size=40),
)
def test_no_window_holds_more_than_its_share(
    per_minute: float, steps: list[tuple[float, float]]
) -> None:
    rate, now, starts = Rate(per_minute), 0.0, []
    for pause, amount in steps:
        now += pause
        starts.append((now + rate.reserve(now, amount), amount))
    assert [at for at, _ in starts] == sorted(at for at, _ in starts)
    burst = max(1.0, per_minute / 60)
    for first, (begin, _) in enumerate(starts):
        taken = 0.0
        for at, amount in starts[first:]:
            # What is in debt was let through at once: only what came before counts whole.
            assert taken <= burst * 2 + (at - begin) * per_minute / 60 + 50
            taken += amount


def test_failures_in_a_row_open_the_breaker() -> None:
    health = Health()
    for _ in range(FAILURES - 1):
        health.failed(1, sent=1)
    health.succeeded()
    for _ in range(FAILURES - 1):
        health.failed(1, sent=1)
        assert (health.state, health.admit(1)) == ("healthy", True)
    health.failed(1, sent=1)
    assert (health.state, health.usable(1), health.admit(1)) == ("unhealthy", False, False)
    health.succeeded()
    assert (health.state, health.admit(1)) == ("healthy", True)


def test_one_probe_for_each_cooldown() -> None:
    health = Health()
    health.failed(0, sent=0, outright=True)
    now, cooldown = 0.0, COOLDOWN
    for _ in range(12):
        assert not health.admit(now + cooldown * 0.99)
        now += cooldown
        assert health.admit(now)
        assert not health.admit(now), "one probe, not two"
        health.failed(now, sent=now)
        cooldown = min(LONGEST_COOLDOWN, cooldown * 2)
    assert cooldown == LONGEST_COOLDOWN


def test_failures_of_what_was_under_way_say_nothing_new() -> None:
    health = Health()
    health.failed(10, sent=9, outright=True)
    for _ in range(1000):
        health.failed(10.01, sent=9, outright=True)
    assert health.admit(10 + COOLDOWN)
    health.failed(10.2, sent=9.5)
    health.failed(10.2, sent=10.15)  # the probe: counts
    health.failed(10.2, sent=10.15)  # another request's: does not
    assert not health.usable(10.2 + COOLDOWN * 1.99)
    assert health.usable(10.2 + COOLDOWN * 2.01)


def test_the_retry_budget() -> None:
    budget = RetryBudget()
    burst = int(RETRIES_AT_ONCE)
    assert [budget.take(0) for _ in range(burst + 1)] == [True] * burst + [False]
    for _ in range(4):
        budget.succeeded()
    assert [budget.take(0) for _ in range(3)] == [True, True, False]
    second = int(RETRIES_A_SECOND)
    assert [budget.take(1) for _ in range(second + 1)] == [True] * second + [False]
    assert sum(budget.take(10_000) for _ in range(1000)) == burst


def test_all_that_is_in_flight_may_be_sent_again_once() -> None:
    budget = RetryBudget()
    budget.saw_in_flight(1000)
    budget.saw_in_flight(10)
    assert sum(budget.take(0) for _ in range(2000)) == 1000


@given(st.lists(st.sampled_from(["success", "retry"]), max_size=3000))
def test_retries_stay_below_half_of_the_successes(happened: list[str]) -> None:
    budget, successes, retries = RetryBudget(), 0, 0
    for each in happened:
        if each == "success":
            budget.succeeded()
            successes += 1
        else:
            retries += budget.take(0)
    assert retries <= RETRIES_AT_ONCE + successes / 2
