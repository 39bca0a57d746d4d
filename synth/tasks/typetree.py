"""The tree of problem types: leaves are drawn the less, the more often they were drawn before.

A leaf's weight is 1 / (count + 1) ** 1.5; the path to the one that is drawn is cut at a random
depth of at least root + 2, and what lies below the cut is left open. (The sampling of NexGAP.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from msgspec import Struct

POWER = 1.5
GROWTH = 0.1
"""Chance that a model, where there is one, grows a node under a random one before a draw."""

Path = tuple[str, ...]


class Drawn(Struct, frozen=True):
    """A problem type: a leaf, and how much of its path binds."""

    leaf: Path
    kept: Path
    """The beginning of the path that the task has to be of."""


class TypeTree:
    """Paths from the root (left out): domain, noun, kind of problem, tool."""

    def __init__(self, leaves: Iterable[Path]) -> None:
        self._leaves = list(dict.fromkeys(leaves))
        self.counts: Counter[Path] = Counter()
        """Accepted tasks by leaf."""

    @property
    def leaves(self) -> Sequence[Path]:
        return self._leaves

    def draw(self, chance: Random) -> Drawn:
        weights = [1 / (self.counts[leaf] + 1) ** POWER for leaf in self._leaves]
        leaf = chance.choices(self._leaves, weights)[0]
        return Drawn(leaf, leaf[: chance.randint(min(2, len(leaf)), len(leaf))])

    def within(self, kept: Path) -> list[Path]:
        """The leaves below a cut path."""
        return [leaf for leaf in self._leaves if leaf[: len(kept)] == kept]

    def grow(self, leaf: Path) -> None:
        """Adds a leaf that a model proposed."""
        if leaf not in self._leaves:
            self._leaves.append(leaf)
