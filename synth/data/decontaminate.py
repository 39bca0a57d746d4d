"""Whether a task is one of those that will be used to evaluate: 13-grams and near-duplicates."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from nexau.definitions.values import DefinitionError
from nexau.files.paths import missing
from nexau.files.problems import display
from nexau.synth.nearduplicates import NearDuplicates
from nexau.synth.words import raw_words

SIZE = 13
"""Words in a row (as GPT-3's contamination study has it)."""
NEAR = 0.8
"""Jaccard similarity of 3-word shingles."""
_TEXTS = ("input", "prompt", "question", "query", "instruction", "text")


class Decontaminator:
    """Knows evaluation texts; asks whether another is among them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._grams: set[bytes] = set()
        self._whole: set[str] = set()
        self._near = NearDuplicates(NEAR)
        self.texts = 0
        for text in texts:
            self.texts += 1
            found = raw_words(text)
            self._whole.add(" ".join(found))
            self._grams.update(_grams(found))
            self._near.add(text)

    def reason(self, text: str) -> str | None:
        """Why it is contaminated, in words; None where it is not."""
        if not self.texts:
            return None
        found = raw_words(text)
        if " ".join(found) in self._whole:
            return "is an evaluation task"
        if any(gram in self._grams for gram in _grams(found)):
            return f"shares {SIZE} words in a row with an evaluation task"
        if self._near.find(text) is not None:
            return "is nearly an evaluation task"
        return None


def _grams(words: list[str]) -> Iterator[bytes]:
    for start in range(len(words) - SIZE + 1):
        yield blake2b(" ".join(words[start : start + SIZE]).encode(), digest_size=8).digest()


def evaluation_texts(files: Iterable[Path]) -> Iterator[str]:
    """The texts of files: JSON lines with `input`, `prompt`, `question` or chat `messages`, or
    plain lines. Raises `DefinitionError`.
    """
    for file in files:
        if not file.is_file():
            raise DefinitionError(missing(file))
        try:
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    if line.strip():
                        yield from _texts(line.strip(), file)
        except UnicodeDecodeError as error:
            raise DefinitionError(f"{display(file)}: not UTF-8: {error}") from None


def _texts(line: str, file: Path) -> Iterator[str]:
    if not line.startswith("{"):
        yield line
        return
    try:
        value: dict[str, Any] = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield line
        return
    found = [value[key] for key in _TEXTS if isinstance(value.get(key), str)]
    messages = value.get("messages")
    if isinstance(messages, list):
        found += [
            message["content"]
            for message in messages
            if isinstance(message, dict)
            and message.get("role") == "user"
            and isinstance(message.get("content"), str)
        ]
    if not found:
        raise DefinitionError(
            f"{display(file)}: a line has none of {', '.join(_TEXTS)}, messages: {line[:60]}"
        )
    yield from found
