"""Texts for regular expressions."""

import random
import re

import pytest

from nexau.synth.worlds.patterns import text_for


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[1-9][0-9]?[A-F]$",
        r"^(AB|C[DE])-\d{3,5}$",
        r"^[a-z]+(-[a-z]+)*$",
        r"\w+@\w+\.(com|org)",
        r"^.{2,4}x?$",
        r"^[-_.]\s[]a]$",
        r"^(?:a|b){2}$",
    ],
)
def test_it_matches(pattern: str) -> None:
    rng = random.Random(1)
    for _ in range(40):
        text = text_for(pattern, rng)
        assert text is not None
        assert re.search(pattern, text), text


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"[^a]", r"(a)\1", r"(a", r"[a", "a)"])
def test_what_is_not_understood(pattern: str) -> None:
    assert text_for(pattern, random.Random(1)) is None
