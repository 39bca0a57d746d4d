"""Duplicates are refused while a run goes on: same tools in the same shape, or the same texts."""

import re
from collections import Counter

from nexau.synth.agents.drafts import Record
from nexau.synth.similarity import NearDuplicates

NEAR = 0.9
"""Jaccard similarity of word triples from which two texts are the same."""
SHARE = 0.01
"""Of a run that one bare tree may have, beyond the first two."""


_TOLD = re.compile(rb"\n *(?:- )?(?:name|description): ([^\n]*)")
"""Begins with a newline, which the search leaps to; `^` is tried at every byte."""


class Novelty:
    """What a run has so far: it depends on the candidates before, not on how many are wanted."""

    def __init__(self) -> None:
        self._signatures: dict[str, int] = {}
        self._trees: Counter[str] = Counter()
        self._texts = NearDuplicates(NEAR)
        self._indexes: list[int] = []

    def fault(self, record: Record, text: str) -> str | None:
        """Why the hierarchy is no new one; None for one that is, which is remembered."""
        same = self._signatures.get(record.signature)
        if same is not None:
            return f"duplicate: the agents and tools of candidate {same}"
        seen = self._trees[record.tree]
        if seen >= 2 and seen >= SHARE * len(self._indexes):
            return f"duplicate: {seen} hierarchies have this tree already"
        near = self._texts.add(text)
        if near is not None:
            return f"duplicate: nearly the texts of candidate {self._indexes[near]}"
        self._remember(record)
        return None

    def keep(self, record: Record, text: str) -> None:
        """One of a run that goes on, in the order of the candidates."""
        self._texts.add(text)
        self._remember(record)

    def _remember(self, record: Record) -> None:
        self._signatures[record.signature] = record.index
        self._trees[record.tree] += 1
        self._indexes.append(record.index)


def told(yaml: bytes) -> str:
    """What a generated agent file says of its agents: their names and descriptions."""
    return b"\n".join(_TOLD.findall(b"\n" + yaml)).decode()
