"""Intervals of what was counted or measured: Wilson's for rates, bootstrap for the rest."""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TypeVar

from nexau.synth.streams import stream

T = TypeVar("T")

Z = 1.959963984540054
"""Of 95 %."""


def wilson(hits: int, total: int, z: float = Z) -> tuple[float, float]:
    """The 95 % score interval of a rate (Wilson 1927); 0 to 1 where nothing was counted."""
    if not total:
        return 0.0, 1.0
    rate = hits / total
    spread = z * sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    middle = rate + z * z / (2 * total)
    scale = 1 + z * z / total
    low = (middle - spread) / scale if hits else 0.0
    high = (middle + spread) / scale if hits < total else 1.0
    return low, high


def bootstrap(
    sample: Sequence[T],
    statistic: Callable[[Sequence[T]], float],
    *,
    seed: int = 0,
    rounds: int = 200,
) -> tuple[float, float]:
    """The 95 % percentile interval (Efron 1979): the statistic of resamples, by seed."""
    if len(sample) < 2:
        value = statistic(sample)
        return value, value
    random = stream(seed, "bootstrap", len(sample))
    size = len(sample)
    values = sorted(statistic(random.choices(sample, k=size)) for _ in range(rounds))
    return values[int(0.025 * rounds)], values[min(rounds - 1, int(0.975 * rounds))]
