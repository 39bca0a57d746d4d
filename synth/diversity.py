"""The Vendi score of a set of texts (Friedman and Dieng 2023). Needs numpy: the extra `synth`.

exp of the entropy of the eigenvalues of K/n, where K holds the similarities: 1 for n equal texts,
n for n that have nothing in common. It grows with n, so compare sets of one size.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float64]
CHUNK = 4096
"""Terms at a time: the matrix of all would not fit into memory."""


def kernel(vectors: Sequence[Mapping[str, float]]) -> Kernel:
    """Cosines of sparse unit vectors, exactly; a text without terms is like none but itself."""
    columns = {term: place for place, term in enumerate(sorted({t for v in vectors for t in v}))}
    made = np.zeros((len(vectors), len(vectors)))
    rows: list[list[tuple[int, float]]] = [
        sorted((columns[term], weight) for term, weight in vector.items()) for vector in vectors
    ]
    starts = [0] * len(rows)
    for first in range(0, len(columns), CHUNK):
        part = np.zeros((len(rows), CHUNK), dtype=np.float32)
        for place, row in enumerate(rows):
            at = starts[place]
            while at < len(row) and row[at][0] < first + CHUNK:
                part[place, row[at][0] - first] = row[at][1]
                at += 1
            starts[place] = at
        made += part @ part.T
    np.fill_diagonal(made, 1.0)
    return made


def dense_kernel(vectors: Sequence[Sequence[float]]) -> Kernel:
    """The same of dense unit vectors, such as sentence embeddings."""
    matrix = np.asarray(vectors, dtype=np.float64)
    made: Kernel = matrix @ matrix.T
    np.fill_diagonal(made, 1.0)
    return made


def vendi(similarities: Kernel) -> float:
    count = len(similarities)
    if count < 2:
        return float(count)
    values = np.linalg.eigvalsh(similarities / count)
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))


def vendi_of_samples(
    similarities: Kernel, size: int, times: int, chance: random.Random
) -> list[float]:
    """The scores of random subsets without repeats. (Repeats, as a bootstrap draws them, are
    duplicates to this score, and would bias it downwards.)"""
    count = len(similarities)
    found: list[float] = []
    for _ in range(times):
        places = sorted(chance.sample(range(count), min(size, count)))
        found.append(vendi(similarities[np.ix_(places, places)]))
    return found
