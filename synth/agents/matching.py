"""Which tools a specification asks for: a ranking of a catalog's tools.

Ranks are what counts, not scores: a specification in words of its own has little in common with any
tool, and still some tools are nearer than others.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from nexau.synth.agents.capabilities import capabilities
from nexau.synth.agents.toolfacts import ToolFacts
from nexau.synth.similarity import Bm25, Tfidf, best, grams, unit

LEXICAL, TAXONOMY = 1.0, 0.8
"""Shares of the two in the default ranking."""


class Embedder(Protocol):
    """Sentences to vectors of unit length."""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


class Match(Struct, frozen=True):
    """A tool, by its place in the catalog."""

    tool: int
    score: float
    """Comparable within one ranking only."""


class Matcher:
    """Ranks the tools of a catalog. With an `embedder`, by it alone: fused with words, it is worse
    on specifications that share no word with the tools (docs/agent-synthesis.md has figures)."""

    def __init__(self, facts: Sequence[ToolFacts], embedder: Embedder | None = None) -> None:
        texts = [each.text for each in facts]
        self._count = len(texts)
        self._embedder = embedder
        if embedder is not None:
            self._embedded = embedder.embed([_sentence(each) for each in facts])
            return
        self._words = Bm25(texts)
        self._grams = Tfidf(texts, grams)
        self._capabilities = _Weighted(capabilities(text) for text in texts)

    def rank(self, specification: str) -> list[Match]:
        """All tools, the best first; those that nothing speaks for come last, in their order."""
        if self._embedder is not None:
            (wanted,) = self._embedder.embed([specification])
            scores = {
                place: sum(map(float.__mul__, map(float, wanted), map(float, vector)))
                for place, vector in enumerate(self._embedded)
            }
        else:
            scores = self._lexical(specification)
        return [Match(place, round(score, 6)) for place, score in best(scores, None)]

    def _lexical(self, specification: str) -> dict[int, float]:
        scores = dict.fromkeys(range(self._count), 0.0)
        rankings = (
            (LEXICAL, self._words.rank(specification)),
            (LEXICAL, self._grams.rank(specification)),
            (TAXONOMY, self._capabilities.rank(specification)),
        )
        for share, ranking in rankings:
            top = ranking[0][1] if ranking else 0.0
            for place, score in ranking:
                scores[place] += share * score / top if top else 0.0
        return scores


class _Weighted:
    """Capabilities of texts; one that few texts have counts more."""

    def __init__(self, found: Iterable[dict[str, float]]) -> None:
        self._texts = list(found)
        seen: defaultdict[str, int] = defaultdict(int)
        for each in self._texts:
            for name in each:
                seen[name] += 1
        self._idf = {name: math.log(1 + len(self._texts) / number) for name, number in seen.items()}
        self._vectors = [self._weigh(each) for each in self._texts]

    def _weigh(self, found: dict[str, float]) -> dict[str, float]:
        return unit({name: value * self._idf.get(name, 0.0) for name, value in found.items()})

    def rank(self, text: str) -> list[tuple[int, float]]:
        wanted = self._weigh(capabilities(text))
        scores = {
            place: sum(weight * vector.get(name, 0.0) for name, weight in wanted.items())
            for place, vector in enumerate(self._vectors)
        }
        return best({place: score for place, score in scores.items() if score > 0}, None)


def _sentence(facts: ToolFacts) -> str:
    tool = facts.tool
    return f"{tool.name.replace('_', ' ')}. {tool.description[:400]}"
