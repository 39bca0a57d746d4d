"""How far two samples lie apart: Kolmogorov-Smirnov's D and Wasserstein's distance."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise


def kolmogorov_smirnov(one: Sequence[float], two: Sequence[float]) -> float:
    """D of two samples: the largest difference of their empirical distribution functions, 0 to 1.

    Raises ValueError for an empty sample.
    """
    first, second = _ordered(one, two)
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in {*first, *second}
    )


def wasserstein(one: Sequence[float], two: Sequence[float]) -> float:
    """The first Wasserstein distance: the area between the distribution functions.

    In the samples' own unit. Raises ValueError for an empty sample.
    """
    first, second = _ordered(one, two)
    places = sorted({*first, *second})
    return sum(
        abs(bisect_right(first, low) / len(first) - bisect_right(second, low) / len(second))
        * (high - low)
        for low, high in pairwise(places)
    )


def _ordered(one: Sequence[float], two: Sequence[float]) -> tuple[list[float], list[float]]:
    if not one or not two:
        raise ValueError("a sample is empty")
    return sorted(one), sorted(two)
