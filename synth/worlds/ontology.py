"""The vocabulary of the built-in generator: domains, read once from `ontology/domains.yaml`."""

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

import msgspec
from msgspec import Struct


class Domain(Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]
    """Of specifications that mean it."""
    party: list[str]
    staff: list[str]
    asset: list[str]
    place: list[str]
    deal: dict[str, str]
    """What binds them, with the verb that begins it."""
    line: list[str]
    record: list[str]
    kinds: list[str]
    """Of assets."""
    skills: list[str]
    """Of staff."""

    def nouns(self) -> list[str]:
        return [*self.party, *self.staff, *self.asset, *self.place, *self.deal, *self.line,
                *self.record]  # fmt: skip


_WORD = re.compile(r"[a-z]+")
_COMMON = frozenset(
    ["a", "an", "the", "and", "or", "of", "for", "with", "to", "in", "on", "at", "by", "that",
     "this", "its", "it", "is", "are", "be", "from", "where", "which", "who", "has", "have",
     "world", "system", "desk", "manage", "management", "small", "large", "rules", "rule"]
)  # fmt: skip


@lru_cache(maxsize=1)
def domains() -> Mapping[str, Domain]:
    data = resources.files("nexau.synth.worlds").joinpath("ontology/domains.yaml").read_bytes()
    return msgspec.yaml.decode(data, type=dict[str, Domain])


def words_of(text: str) -> list[str]:
    """Its words in small letters, plurals as singulars, without those that mean nothing here."""
    return [_singular(word) for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


@lru_cache(maxsize=64)
def matching(specification: str) -> tuple[tuple[str, float], ...]:
    """Domains that share words with a specification, best first; none where none does.

    A word of `words` counts 3, one of its nouns 1, each divided by the domains that have it.
    """
    given = set(words_of(specification))
    weights: dict[str, dict[str, float]] = {}
    for name, domain in domains().items():
        nouns = {part for noun in domain.nouns() for part in noun.split("_")}
        weights[name] = dict.fromkeys(nouns, 1.0) | dict.fromkeys(
            map(_singular, (*domain.words, *name.split("_"))), 3.0
        )
    spread = {word: sum(word in each for each in weights.values()) for word in given}
    scores = {
        name: sum(weight[word] / spread[word] for word in sorted(given) if word in weight)
        for name, weight in weights.items()
    }
    found = [(name, score) for name, score in scores.items() if score > 0]
    return tuple(sorted(found, key=lambda each: (-each[1], each[0])))


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """All words of all nouns."""
    nouns = (noun for domain in domains().values() for noun in domain.nouns())
    return frozenset(part for noun in nouns for part in noun.split("_"))
