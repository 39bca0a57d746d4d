"""Latencies in constant memory: counts in buckets of equal ratio."""

import math

from msgspec import Struct

_PER_OCTAVE = 16
"""Buckets for each doubling: a percentile is at most 4.4 % off."""
_LOG = _PER_OCTAVE / math.log(2)
_SMALLEST = 1e-7
_OFFSET = -math.log(_SMALLEST) * _LOG


class Percentiles(Struct, frozen=True):
    """Seconds."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class Buckets(Struct, frozen=True):
    """What a histogram holds, to be sent to another process."""

    counts: dict[int, int]
    total: float
    maximum: float


class Histogram:
    """Durations in seconds, from 100 ns up."""

    __slots__ = ("_buckets", "count", "maximum", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.maximum = 0.0

    def add(self, seconds: float) -> None:
        bucket = int(math.log(seconds) * _LOG + _OFFSET) if seconds > _SMALLEST else 0
        buckets = self._buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        if seconds > self.maximum:
            self.maximum = seconds

    def buckets(self) -> Buckets:
        return Buckets(dict(self._buckets), self.total, self.maximum)

    def merge(self, other: Buckets) -> None:
        """Adds what another histogram has seen."""
        for bucket, count in other.counts.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self.count += count
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def quantile(self, share: float) -> float:
        """The duration that `share` of those added do not exceed; 0.0 when there is none."""
        rank = math.ceil(share * self.count)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return min(math.exp((bucket + 0.5 - _OFFSET) / _LOG), self.maximum)
        return 0.0

    def percentiles(self) -> Percentiles:
        return Percentiles(
            self.quantile(0.5), self.quantile(0.95), self.quantile(0.99), self.maximum
        )
