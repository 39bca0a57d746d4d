"""Measures of similarity: words, vectors, rankings, near-duplicates."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from nexau.synth.nearduplicates import signature
from nexau.synth.similarity import (
    Bm25,
    NearDuplicates,
    Tfidf,
    cosine,
    grams,
    jaccard,
    raw_words,
    shingles,
    similarity,
    stem,
    vector,
    words,
)

TOOLS = [
    "Find customers by name, email or city.",
    "Refund money for an order that came back.",
    "Open a ticket for a customer's complaint.",
    "List the books that a reader has borrowed.",
]


@pytest.mark.parametrize(
    "text", ["getUserById", "get_user_by_id", "get-user-by-id", "Get User By ID"]
)
def test_names_are_split_into_words(text: str) -> None:
    assert raw_words(text) == ["get", "user", "by", "id"]


@pytest.mark.parametrize(
    "family",
    [
        ["refund", "refunds", "refunded", "refunding"],
        ["update", "updates", "updated", "updating"],
        ["query", "queries"],
        ["plan", "plans", "planned", "planning"],
        ["search", "searches", "searched", "searching"],
    ],
)
def test_a_word_and_its_endings_have_one_stem(family: list[str]) -> None:
    assert len({stem(word) for word in family}) == 1


def test_words_that_only_look_like_endings_stay() -> None:
    assert [stem(word) for word in ("status", "address", "bus", "sing", "id", "größe")] == [
        "status", "address", "bus", "sing", "id", "größe",
    ]  # fmt: skip
    assert words("Is this the status of an order?") == ["status", "order"]


def test_grams_mark_the_edges_of_words() -> None:
    assert list(grams("ab")) == [" ab", "ab ", " ab "]
    assert " ord" in set(grams("orders"))
    assert "rs c" not in set(grams("orders customers"))


def test_rankings_put_the_right_tool_first() -> None:
    for index in (Tfidf(TOOLS), Tfidf(TOOLS, grams), Bm25(TOOLS)):
        assert index.rank("refunding an order", 1)[0][0] == 1
        assert index.rank("which books did readers borrow")[0][0] == 3
        assert index.rank("zebra") == []


def test_ties_go_by_position() -> None:
    assert [at for at, _ in Tfidf(["x y", "x y", "x y"]).rank("x", 2)] == [0, 1]


@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity_is_symmetric_and_bounded(one: str, other: str) -> None:
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert 0 <= similarity(one, other) <= 1
    if raw_words(one):
        assert similarity(one, one) == pytest.approx(1)


def test_similarity_against_a_cosine_worked_out_by_hand() -> None:
    assert cosine(vector("x y", words), vector("x z", words)) == pytest.approx(0.5)
    assert similarity("", "x") == 0


def test_near_duplicates_are_found_and_others_are_not() -> None:
    source = random.Random(3)
    vocabulary = [f"w{number}" for number in range(3000)]
    texts = [" ".join(source.choices(vocabulary, k=80)) for _ in range(400)]
    found = NearDuplicates(0.8)
    assert [found.add(text) for text in texts] == [None] * 400
    for position, text in enumerate(texts):
        # One word of 80 in the middle changes 3 of 78 shingles: Jaccard 75 / 81.
        changed = text.split()
        changed[40] = "other"
        assert found.find(" ".join(changed)) == position
        assert found.add(" ".join(changed[::-1])) is None


def test_the_signature_estimates_jaccard() -> None:
    source = random.Random(5)
    for share in (0.2, 0.5, 0.9):
        errors = []
        for _ in range(40):
            pool = source.sample(range(1 << 32), 600)
            both = int(400 * share)
            one = frozenset(pool[:400])
            other = frozenset(pool[:both] + pool[400 : 800 - both])
            alike = sum(a == b for a, b in zip(signature(one), signature(other), strict=True)) / 128
            errors.append(alike - jaccard(one, other))
        assert abs(sum(errors) / len(errors)) < 0.03


def test_few_words_have_a_dense_signature() -> None:
    assert -1 not in signature(shingles("only three words"))
    assert jaccard(shingles(""), shingles("")) == 1
    assert NearDuplicates(0.5).add("") is None


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        NearDuplicates(0)


def test_hashes_do_not_depend_on_the_process() -> None:
    code = (
        "from nexau.synth.similarity import shingles, Tfidf\n"
        "print(sorted(shingles('one two three four')), Tfidf(['a b c', 'b c d']).rank('b d'))"
    )
    out = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(out) == 1
