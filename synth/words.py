"""Texts to words and to character grams: what every measure of similarity here counts."""

import re
from collections.abc import Iterator

STOP = frozenset(
    "a an and any are as at be been but by can for from had has have if in into is it its may "
    "no not of on or our so such than that the their them then there these they this to was were "
    "when where which while who will with you your".split()
)
"""Words that tell nothing of a text's subject."""

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VOWELS = frozenset("aeiouy")
_STEMS: dict[str, str] = {}
"""Of words seen before: texts repeat them. Bounded by `_MOST`."""
_MOST = 200_000


def raw_words(text: str) -> list[str]:
    """Casefolded words; `getUserById` and `get_user_by_id` are the same four."""
    return [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", text))]


def words(text: str) -> list[str]:
    """Stems of all words but those of `STOP`, in their order."""
    return [stem(word) for word in raw_words(text) if word not in STOP]


def stem(word: str) -> str:
    """A lower-case word without the commonest English endings: refunds, refunded, refunding and
    refund are one. Light on purpose (plurals, -ed, -ing, a last e): it need not be a word."""
    found = _STEMS.get(word)
    if found is None:
        if len(_STEMS) >= _MOST:
            _STEMS.clear()
        found = _STEMS[word] = _stem(word)
    return found


def _stem(word: str) -> str:
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    word = _singular(word)
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and not _VOWELS.isdisjoint(base):
            if base[-1] == base[-2] and base[-1] not in "lsz":
                base = base[:-1]
            return base
    if word.endswith("e") and len(word) > 4:
        return word[:-1]
    return f"{word[:-1]}i" if word.endswith("y") and word[-2] not in _VOWELS else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def grams(text: str, least: int = 3, most: int = 5) -> Iterator[str]:
    """Character grams of `least` to `most`, within words and with their edges marked by spaces."""
    for word in raw_words(text):
        padded = f" {word} "
        length = len(padded)
        for size in range(least, most + 1):
            if size >= length:
                yield padded
                break
            for start in range(length - size + 1):
                yield padded[start : start + size]
