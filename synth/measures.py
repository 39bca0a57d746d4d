"""Measures of a set of things that were generated, with intervals by the bootstrap."""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

Item = TypeVar("Item")
TIMES = 1000
"""Resamples."""


class Interval(Struct, frozen=True):
    """A figure, and between which bounds it lies in 95 % of the resamples."""

    value: float
    low: float
    high: float


def bootstrap(
    items: Sequence[Item],
    figure: Callable[[Sequence[Item]], float],
    chance: random.Random,
    times: int = TIMES,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of a figure of a set."""
    if not items:
        return Interval(0.0, 0.0, 0.0)
    found = sorted(figure(chance.choices(items, k=len(items))) for _ in range(times))
    return _interval(figure(items), found)


def percentiles(value: float, found: Iterable[float]) -> Interval:
    return _interval(value, sorted(found))


def _interval(value: float, ordered: Sequence[float]) -> Interval:
    low = ordered[int(0.025 * (len(ordered) - 1))]
    high = ordered[math.ceil(0.975 * (len(ordered) - 1))]
    return Interval(short(value), short(low), short(high))


def distinct_rate(forms: Sequence[str], chance: random.Random) -> Interval:
    """Different forms for each item. The bootstrap is of 1 / (how many share the item's form),
    whose mean it is: drawing items twice would itself make duplicates."""
    counts = Counter(forms)
    return bootstrap([1 / counts[form] for form in forms], mean, chance)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def coverage(used: Sequence[Iterable[str]], of: int) -> float:
    """The share of all tools that some item has."""
    return len({tool for tools in used for tool in tools}) / of if of else 0.0


def evenness(used: Sequence[Iterable[str]], of: int) -> float:
    """H / ln(of) of how often each tool is used: 1 where all are alike, 0 for one tool only."""
    counts = Counter(tool for tools in used for tool in tools)
    total = sum(counts.values())
    if of < 2 or not total:
        return 0.0
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    return entropy / math.log(of)


def distinct_n(texts: Iterable[Sequence[str]], n: int) -> float:
    """Different runs of `n` words, as a share of all (Li et al. 2016)."""
    total = 0
    seen: set[tuple[str, ...]] = set()
    for words in texts:
        for start in range(len(words) - n + 1):
            seen.add(tuple(words[start : start + n]))
            total += 1
    return len(seen) / total if total else 0.0


def histogram(values: Iterable[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def refined(nodes: Mapping[str, str], edges: Iterable[tuple[str, str]], rounds: int = 4) -> str:
    """A Weisfeiler-Lehman form of a labelled, directed graph. Graphs of different forms differ;
    graphs of one form may differ still."""
    colours = dict(nodes)
    after: dict[str, list[str]] = {node: [] for node in nodes}
    before: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        after[source].append(target)
        before[target].append(source)
    for _ in range(rounds):
        colours = {
            node: _digest(
                colours[node],
                sorted(colours[other] for other in after[node]),
                sorted(colours[other] for other in before[node]),
            )
            for node in nodes
        }
    return _digest("", sorted(colours.values()), [])


def _digest(own: str, after: list[str], before: list[str]) -> str:
    text = f"{own}({','.join(after)})({','.join(before)})"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def short(value: float) -> float:
    return float(f"{value:.4g}")
