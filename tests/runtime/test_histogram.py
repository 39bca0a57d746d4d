import math

from hypothesis import given, strategies as st

from nexau.histogram import Histogram


def test_empty() -> None:
    assert Histogram().percentiles().p99 == 0.0


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_the_exact_one_within_a_bucket(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert exact / 1.05 <= histogram.quantile(share) <= exact * 1.05


def test_zero_and_negative_durations_are_counted() -> None:
    histogram = Histogram()
    histogram.add(0.0)
    histogram.add(-1.0)
    assert histogram.count == 2
    assert histogram.quantile(0.5) <= 1e-6
