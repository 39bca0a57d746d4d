"""Features as vectors, for what compares all with all (extra `synth`: numpy)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nexau.synth.data.features import Features, grams, hashed

Matrix = npt.NDArray[np.float32]

_WORDS, _TOOLS, _SHAPES = 384, 256, 64
WEIGHTS = (0.45, 0.4, 0.15)
"""Of the task's words, the sequence of tools, and the topology, in the similarity."""


def vectors(features: Sequence[Features]) -> Matrix:
    """A row each, of length 1: dot products are cosines, at least -1, at most 1."""
    made = np.zeros((len(features), _WORDS + _TOOLS + _SHAPES), dtype=np.float32)
    for row, each in enumerate(features):
        blocks = (
            (0, _WORDS, Counter(each.task), WEIGHTS[0]),
            (_WORDS, _TOOLS, grams(each.tools), WEIGHTS[1]),
            (_WORDS + _TOOLS, _SHAPES, Counter({each.topology: 1}), WEIGHTS[2]),
        )
        for start, size, counts, weight in blocks:
            # Damped, so that a word said ten times does not outweigh ten others.
            places = hashed(((name, float(count) ** 0.5) for name, count in counts.items()), size)
            if places:
                block = made[row, start : start + size]
                block[list(places)] = list(places.values())
                block *= (weight**0.5) / max(float(np.linalg.norm(block)), 1e-9)
    made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
    return made


def vendi(matrix: Matrix) -> float:
    """The Vendi score (Friedman and Dieng 2022), order 1: the effective number of distinct rows,
    exp of the entropy of the eigenvalues of K / n. 0 for no rows."""
    count = len(matrix)
    if not count:
        return 0.0
    # K = X X' and X' X have the same eigenvalues but zeros; the smaller one is decomposed.
    gram = matrix @ matrix.T if count < matrix.shape[1] else matrix.T @ matrix
    values = np.linalg.eigvalsh(gram.astype(np.float64) / count)
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))
