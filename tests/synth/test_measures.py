"""Measures of diversity, against values worked out by hand."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nexau.synth.diversity import dense_kernel, kernel, vendi, vendi_of_samples
from nexau.synth.measures import (
    bootstrap,
    coverage,
    distinct_n,
    distinct_rate,
    evenness,
    histogram,
    mean,
    refined,
)
from nexau.synth.similarity import Tfidf, cosine, grams


def test_vendi_counts_what_is_different() -> None:
    assert vendi(np.eye(7)) == pytest.approx(7)
    assert vendi(np.ones((7, 7))) == pytest.approx(1)
    # Two groups of two equal texts: two.
    assert vendi(np.kron(np.eye(2), np.ones((2, 2)))) == pytest.approx(2)
    # Eigenvalues of [[1, s], [s, 1]] / 2 are (1 + s) / 2 and (1 - s) / 2.
    s = 0.6
    entropy = -sum(x * math.log(x) for x in ((1 + s) / 2, (1 - s) / 2))
    assert vendi(np.array([[1, s], [s, 1]])) == pytest.approx(math.exp(entropy))


def test_the_kernel_is_that_of_single_cosines() -> None:
    chance = random.Random(1)
    texts = [" ".join(chance.choices("abcdefghijkl", k=30)) for _ in range(20)] + [""]
    vectors = Tfidf(texts, grams).vectors
    found = kernel(vectors)
    for one in range(20):
        for other in range(20):
            assert found[one, other] == pytest.approx(
                cosine(vectors[one], vectors[other]), abs=1e-5
            )
    assert found[20, 20] == 1
    assert dense_kernel([[1.0, 0.0], [0.6, 0.8]])[0, 1] == pytest.approx(0.6)
    assert len(vendi_of_samples(found, 10, 5, chance)) == 5


def test_a_distinct_rate_is_not_biased_by_its_bootstrap() -> None:
    chance = random.Random(2)
    forms = [f"f{number}" for number in range(300)]
    assert distinct_rate(forms, chance).low == 1.0
    doubled = distinct_rate(forms + forms[:100], chance)
    assert doubled.value == 0.75
    assert doubled.low < 0.75 < doubled.high


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    chance = random.Random(3)
    hits = 0
    for _ in range(120):
        sample = [chance.gauss(0, 1) for _ in range(40)]
        interval = bootstrap(sample, mean, chance, 200)
        hits += interval.low <= 0 <= interval.high
    assert 103 <= hits <= 119


def test_tools() -> None:
    used = [("a", "b"), ("a",), ("b",)]
    assert coverage(used, 4) == 0.5
    assert evenness(used, 2) == pytest.approx(1)
    assert evenness([("a",)] * 3, 5) == 0
    assert distinct_n([["a", "b", "a", "b"]], 2) == pytest.approx(2 / 3)
    assert histogram([3, 1, 3]) == {"1": 1, "3": 2}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12), st.randoms())
def test_forms_of_graphs_do_not_mind_names(
    edges: list[tuple[int, int]], chance: random.Random
) -> None:
    order = list(range(6))
    chance.shuffle(order)
    nodes = {f"n{number}": "x" if number < 2 else "y" for number in range(6)}
    renamed = {f"m{order[number]}": "x" if number < 2 else "y" for number in range(6)}
    ours = refined(nodes, [(f"n{one}", f"n{other}") for one, other in edges])
    theirs = refined(renamed, [(f"m{order[one]}", f"m{order[other]}") for one, other in edges])
    assert ours == theirs


def test_forms_of_graphs_tell_directions_apart() -> None:
    nodes = {"a": "x", "b": "x", "c": "x"}
    assert refined(nodes, [("a", "b"), ("b", "c")]) != refined(nodes, [("b", "a"), ("b", "c")])
