"""Near-duplicates among many texts: MinHash bands find candidates, exact Jaccard decides.

One permutation hashing with rotation (Shrivastava and Li 2014): each shingle is hashed once, into
one of the signature's bins, so a signature costs one pass over the text.
"""

from collections import defaultdict
from itertools import accumulate
from zlib import crc32

from nexau.synth.words import raw_words

BINS = 128
_MASK = (1 << 64) - 1


def shingles(text: str, size: int = 3) -> frozenset[int]:
    """Hashes of runs of `size` words, the same in every process; of a shorter text, its words."""
    found = [word.encode() for word in raw_words(text)]
    if len(found) < size:
        return frozenset(map(crc32, found))
    # Cut from one text that holds them all, rather than joined anew.
    ends = list(accumulate(len(word) + 1 for word in found))
    whole = b" ".join(found)
    return frozenset(
        crc32(whole[start : end - 1])
        for start, end in zip([0, *ends], ends[size - 1 :], strict=False)
    )


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of what either has that both have; 1 for two empty ones."""
    shared = len(one & other)
    either = len(one) + len(other) - shared
    return shared / either if either else 1.0


def signature(parts: frozenset[int]) -> list[int]:
    """`BINS` numbers, of which two texts share about as many as their Jaccard similarity says."""
    bins = [-1] * BINS
    for part in parts:
        # The finaliser of splitmix64: neighbouring checksums fall into unrelated bins.
        mixed = (part * 0x9E3779B97F4A7C15 + 0x1234567) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed ^= mixed >> 31
        place, value = mixed % BINS, mixed >> 8
        if bins[place] == -1 or value < bins[place]:
            bins[place] = value
    return _dense(bins) if -1 in bins and parts else bins


def _dense(bins: list[int]) -> list[int]:
    """An empty bin borrows from the next full one, marked by how far away that is."""
    made = list(bins)
    distance, value = 0, -1
    for index in range(2 * BINS - 1, -1, -1):
        place = index % BINS
        if bins[place] != -1:
            distance, value = 0, bins[place]
        else:
            distance += 1
            if value != -1:
                made[place] = value + distance * 0x9E3779B97F4A7C15
    return made


class NearDuplicates:
    """Texts as they come; each is compared with those kept before.

    `threshold` is the Jaccard similarity of word shingles from which two texts are the same. The
    bands are chosen so that a pair at the threshold is found with a probability of 0.99 or more.

    `crowd` bounds what a text is compared with: of the texts that share a band, the first so many.
    Without it a million texts of one pattern are compared each with each.
    """

    def __init__(self, threshold: float = 0.9, size: int = 3, *, crowd: int | None = None) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"expected a threshold above 0 and up to 1, got {threshold}")
        self.threshold = threshold
        self._size = size
        self._crowd = crowd
        self._rows = _rows(threshold)
        self._kept: list[frozenset[int]] = []
        self._bands: list[defaultdict[tuple[int, ...], list[int]]] = [
            defaultdict(list) for _ in range(BINS // self._rows)
        ]

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, text: str) -> int | None:
        """The position of the most similar kept text at or above the threshold."""
        parts = shingles(text, self._size)
        return self._find(parts, self._keys(parts))

    def add(self, text: str) -> int | None:
        """Keeps the text and returns None; or, where one like it is kept, that one's position."""
        parts = shingles(text, self._size)
        keys = self._keys(parts)
        found = self._find(parts, keys)
        if found is not None:
            return found
        for band, key in zip(self._bands, keys, strict=True):
            alike = band[key]
            if self._crowd is None or len(alike) < self._crowd:
                alike.append(len(self._kept))
        self._kept.append(parts)
        return None

    def _keys(self, parts: frozenset[int]) -> list[tuple[int, ...]]:
        signed, rows = signature(parts), self._rows
        return [tuple(signed[at * rows : (at + 1) * rows]) for at in range(len(self._bands))]

    def _find(self, parts: frozenset[int], keys: list[tuple[int, ...]]) -> int | None:
        candidates: dict[int, None] = {}
        for band, key in zip(self._bands, keys, strict=True):
            candidates.update(dict.fromkeys(band.get(key, ())))
        found, most = None, self.threshold
        for position in sorted(candidates):
            alike = jaccard(parts, self._kept[position])
            if alike > most or (found is None and alike >= most):
                found, most = position, alike
        return found


def _rows(threshold: float) -> int:
    """The most rows a band can have for a pair at the threshold to share one of them."""
    for rows in (32, 16, 8, 4, 2):
        if 1 - (1 - threshold**rows) ** (BINS // rows) >= 0.99:
            return rows
    return 1


__all__ = ["NearDuplicates", "jaccard", "shingles", "signature"]
