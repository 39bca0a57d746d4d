"""How alike texts are, in pure Python: TF-IDF over words or character grams, BM25, cosine, and
near-duplicates. Built for thousands of short texts; numpy's part is `nexau.synth.diversity`.

    index = Tfidf(descriptions, grams)
    index.rank("pay money back", 5)          # [(position, similarity), ...], best first
    similarity("find a customer", "finds customers")
    NearDuplicates(0.9).add(text)            # the position of an earlier near-duplicate, or None
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from nexau.synth.nearduplicates import NearDuplicates, jaccard, shingles
from nexau.synth.words import grams, raw_words, stem, words

Vector = Mapping[str, float]
"""Sparse, of unit length; an empty text's is empty."""
Features = Callable[[str], Iterable[str]]
"""What of a text is counted: `words`, `grams`, or a function of your own."""


def cosine(one: Vector, other: Vector) -> float:
    """Of two unit vectors, 0 to 1."""
    if len(other) < len(one):
        one, other = other, one
    get = other.get
    return min(1.0, sum(weight * get(term, 0.0) for term, weight in one.items()))


def unit(counts: Mapping[str, float]) -> dict[str, float]:
    """`counts`, scaled to unit length."""
    length = math.sqrt(sum(value * value for value in counts.values()))
    return {term: value / length for term, value in counts.items()} if length else {}


def vector(text: str, features: Features = grams) -> dict[str, float]:
    """By frequency alone, for texts without a corpus; dampened as 1 + ln(count)."""
    log = math.log
    return unit({term: 1 + log(count) if count > 1 else 1.0
                 for term, count in Counter(features(text)).items()})  # fmt: skip


def similarity(one: str, other: str, features: Features = grams) -> float:
    """Cosine of two texts' character grams (or other features), 0 to 1."""
    return cosine(vector(one, features), vector(other, features))


class Tfidf:
    """Texts as vectors: (1 + ln tf) * (1 + ln((1 + n) / (1 + df))), of unit length.

    Terms that no text of the corpus has count for nothing in a query.
    """

    def __init__(self, texts: Iterable[str], features: Features = words) -> None:
        self._features = features
        counted = [Counter(features(text)) for text in texts]
        seen: Counter[str] = Counter()
        for counts in counted:
            seen.update(counts.keys())
        self._idf = {
            term: 1 + math.log((1 + len(counted)) / (1 + number)) for term, number in seen.items()
        }
        self.vectors: list[dict[str, float]] = [self._weigh(counts) for counts in counted]
        self._postings: dict[str, list[tuple[int, float]]] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def vector(self, text: str) -> dict[str, float]:
        return self._weigh(Counter(self._features(text)))

    def rank(self, text: str, most: int | None = None) -> list[tuple[int, float]]:
        """Positions and similarities of the texts that share anything with `text`, best first."""
        scores: defaultdict[int, float] = defaultdict(float)
        postings = self._postings = self._postings or _postings(self.vectors)
        for term, weight in self.vector(text).items():
            for position, other in postings[term]:
                scores[position] += weight * other
        return best(scores, most)

    def similarity(self, one: int, other: int) -> float:
        """Of two texts of the corpus, by their positions."""
        return cosine(self.vectors[one], self.vectors[other])

    def _weigh(self, counts: Mapping[str, int]) -> dict[str, float]:
        idf, log = self._idf, math.log
        return unit(
            {term: (1 + log(count)) * idf[term] for term, count in counts.items() if term in idf}
        )


class Bm25:
    """Okapi BM25 (Robertson and Zaragoza 2009), idf = ln(1 + (n - df + 0.5) / (df + 0.5))."""

    def __init__(
        self, texts: Iterable[str], features: Features = words, k1: float = 1.2, b: float = 0.75
    ) -> None:
        self._features = features
        counted = [Counter(features(text)) for text in texts]
        lengths = [sum(counts.values()) for counts in counted]
        mean = sum(lengths) / len(lengths) if lengths else 0.0
        found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for position, counts in enumerate(counted):
            norm = k1 * (1 - b + b * lengths[position] / mean) if mean else k1
            for term, count in counts.items():
                found[term].append((position, count * (k1 + 1) / (count + norm)))
        self._postings = {
            term: [
                (position, weight * _idf(len(counted), len(places))) for position, weight in places
            ]
            for term, places in found.items()
        }

    def rank(self, text: str, most: int | None = None) -> list[tuple[int, float]]:
        """Positions and scores of the texts that share a term with `text`, best first."""
        scores: defaultdict[int, float] = defaultdict(float)
        for term in set(self._features(text)):
            for position, weight in self._postings.get(term, ()):
                scores[position] += weight
        return best(scores, most)


def best(scores: Mapping[int, float], most: int | None) -> list[tuple[int, float]]:
    """By score, then by position, so that ties are the same everywhere."""

    def order(item: tuple[int, float]) -> tuple[float, int]:
        return -item[1], item[0]

    if most is not None and most < len(scores):
        return heapq.nsmallest(most, scores.items(), key=order)
    return sorted(scores.items(), key=order)


def _postings(vectors: Sequence[Vector]) -> dict[str, list[tuple[int, float]]]:
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for position, terms in enumerate(vectors):
        for term, weight in terms.items():
            found[term].append((position, weight))
    return found


def _idf(texts: int, having: int) -> float:
    return math.log(1 + (texts - having + 0.5) / (having + 0.5))


__all__ = [
    "Bm25", "Features", "NearDuplicates", "Tfidf", "Vector", "best", "cosine", "grams", "jaccard",
    "raw_words", "shingles", "similarity", "stem", "unit", "vector", "words",
]  # fmt: skip
