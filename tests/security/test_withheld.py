"""A secret that a model says a few letters at a time is in no delta, and nothing else is lost."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from nexau.secrets.forms import REDACTED
from nexau.secrets.redaction import LONGEST, SECRETS, Secrets
from nexau.secrets.withheld import Speech, Withheld

KNOWN = "correct horse battery staple 7c1e"
"""With spaces, which end a word."""
FOREIGN = "señal-ñandú-ключ-42"
FORMS = (
    "AKIAIOSFODNN7CANARYX",
    "sk-Canary0Canary0Canary0Canary0",
    "Bearer canary0canary0canary0canary0",
    "-----BEGIN RSA PRIVATE KEY-----\nCanary0/Canary0+\nCanary0==\n-----END RSA PRIVATE KEY-----",
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Secrets([KNOWN, FOREIGN])
    for name in vars(told):
        monkeypatch.setattr(SECRETS, name, getattr(told, name))


def cut(text: str, places: list[int]) -> list[str]:
    marks = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[begin:end] for begin, end in pairwise(marks)]


def told(pieces: list[str]) -> list[str]:
    held = Withheld()
    return [*map(held.take, pieces), held.rest()]


SECRET = st.sampled_from((KNOWN, FOREIGN, *FORMS))
PLAIN = st.sampled_from(
    ("", "the key is ", " and ", ".", "\n", "你好 世", "correct horse ", "Bearer ")
)
TEXT = st.lists(st.one_of(PLAIN, SECRET), max_size=6).map(" ".join)
PLACES = st.lists(st.integers(0, 400), max_size=40)


@given(TEXT, PLACES)
def test_no_line_has_half_of_a_secret(text: str, places: list[int]) -> None:
    pieces = told(cut(text, places))
    assert "".join(pieces) == text
    assert "".join(map(SECRETS.text, pieces)) == SECRETS.text(text)


@pytest.mark.parametrize("secret", [KNOWN, FOREIGN, *FORMS])
def test_letter_by_letter(secret: str) -> None:
    pieces = told(list(f"it is {secret} as you asked"))
    seen = "".join(map(SECRETS.text, pieces))
    assert seen.startswith("it is ")
    assert REDACTED in seen
    assert seen.endswith(" as you asked")
    assert len(list(filter(None, pieces))) > 3  # it still streams


def test_text_without_spaces_goes_on() -> None:
    assert told(["你好", "世界", "!界"]) == ["你好", "世界", "!界", ""]


def test_no_more_waits_than_the_longest_secret() -> None:
    held = Withheld()
    out = sum(len(held.take("x" * 1000)) for _ in range(100))
    assert out == 100_000 - LONGEST
    assert len(held.rest()) == LONGEST


def test_a_turn_that_is_said_again_ends_what_was_held_first() -> None:
    speech = Speech()
    assert speech.hear("Good da", "Hm. So", 0) == [("Good ", "Hm. ", 0)]
    assert speech.hear("Good ", "", 1) == [("da", "So", 0), ("Good ", "", 1)]
    assert speech.rest() == []
