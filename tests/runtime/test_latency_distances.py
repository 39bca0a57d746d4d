"""D and Wasserstein's distance, held against values known from their definitions."""

import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from nexau.latency.distances import kolmogorov_smirnov, wasserstein

SAMPLES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("one", "two", "d", "distance"),
    [
        ([1], [1], 0, 0),
        ([0], [1], 1, 1),
        ([1, 2, 3], [3, 1, 2], 0, 0),
        ([0, 1, 3], [5, 6, 8], 1, 5),
        ([1, 2, 3, 4], [3, 4, 5, 6], 0.5, 2),
        ([0, 0, 0, 1], [0, 1], 0.25, 0.25),
        ([1, 1, 2], [1, 2, 2], 1 / 3, 1 / 3),
        ([0.0, 1.0], [0.5], 0.5, 0.5),
    ],
)
def test_known_values(one: list[float], two: list[float], d: float, distance: float) -> None:
    assert kolmogorov_smirnov(one, two) == pytest.approx(d)
    assert wasserstein(one, two) == pytest.approx(distance)


@settings(max_examples=60)
@given(SAMPLES, SAMPLES)
def test_they_are_what_the_definitions_say(one: list[float], two: list[float]) -> None:
    def share(sample: list[float], below: float) -> float:
        return sum(value <= below for value in sample) / len(sample)

    d = max(abs(share(one, x) - share(two, x)) for x in (*one, *two))
    # The samples are whole numbers, so the area is a sum over whole numbers.
    area = sum(abs(share(one, float(x)) - share(two, float(x))) for x in range(-20, 20))
    assert kolmogorov_smirnov(one, two) == pytest.approx(d)
    assert wasserstein(one, two) == pytest.approx(area)
    assert wasserstein(one, [value + 3 for value in one]) == pytest.approx(3)


def test_two_samples_of_one_distribution_are_near() -> None:
    chance = random.Random(1)
    one, two = ([chance.gauss(0, 1) for _ in range(2_000)] for _ in range(2))
    # At a level of 0.001 the difference of two such samples is above 1.95 sqrt(2 / n).
    assert kolmogorov_smirnov(one, two) < 1.95 * math.sqrt(2 / 2_000)


def test_an_empty_sample_is_refused() -> None:
    for each in (kolmogorov_smirnov, wasserstein):
        with pytest.raises(ValueError, match="empty"):
            each([], [1.0])
