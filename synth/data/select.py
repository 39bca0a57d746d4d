"""Facility location by lazy greedy: a few that stand for all (extra `synth`: numpy).

F(S) = mean over the sample of the similarity to the nearest of S, plus what each of S is worth by
itself. F is monotone and submodular, so greedy is within 1 - 1/e of the best (Nemhauser et al.
1978), and a gain once computed bounds all later ones (Minoux 1978): few are computed anew.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from nexau.synth.data.vectors import Matrix


class Pick(Struct, frozen=True):
    index: int
    """Row of the matrix."""
    gain: float
    """In F, of which `covers` is the first part."""
    covers: float
    nearest: int | None
    """The row of the most similar one picked before."""
    similarity: float
    stands_for: int = 0
    """Rows to which, of all that were picked, it is the nearest."""


def select(
    matrix: Matrix, worth: Sequence[float], keep: int, *, groups: Sequence[str] | None = None
) -> list[Pick]:
    """`keep` rows, the best first. `worth` is added to F as it is; of each group at most one."""
    count = len(matrix)
    similarities = np.clip(matrix @ matrix.T, 0.0, None)
    best = np.zeros(count, dtype=np.float32)
    heap = [(-(float(similarities[i].mean()) + worth[i]), i, 0) for i in range(count)]
    heapq.heapify(heap)
    picks: list[Pick] = []
    taken: set[str] = set()
    while heap and len(picks) < keep:
        negative, index, known = heapq.heappop(heap)
        if groups is not None and groups[index] in taken:
            continue
        if known < len(picks):
            covers = float(np.maximum(similarities[index] - best, 0.0).mean())
            heapq.heappush(heap, (-(covers + worth[index]), index, len(picks)))
            continue
        covers = -negative - worth[index]
        before = [pick.index for pick in picks]
        nearest = max(before, key=lambda i: similarities[index, i]) if before else None
        likeness = float(similarities[index, nearest]) if nearest is not None else 0.0
        picks.append(Pick(index, -negative, covers, nearest, likeness))
        best = np.maximum(best, similarities[index])
        if groups is not None:
            taken.add(groups[index])
    return _counted(picks, similarities)


def _counted(picks: list[Pick], similarities: Matrix) -> list[Pick]:
    if not picks:
        return []
    columns = similarities[:, [pick.index for pick in picks]]
    owners = np.bincount(columns.argmax(axis=1), minlength=len(picks))
    return [
        Pick(p.index, p.gain, p.covers, p.nearest, p.similarity, int(owned))
        for p, owned in zip(picks, owners, strict=True)
    ]
