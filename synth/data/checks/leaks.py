"""What must not be there: gold answers, a generator's words, tool names, secrets (15-17, 22)."""

import math
import re
from collections.abc import Iterator
from typing import Any

from nexau.models.base import SystemMessage, UserMessage
from nexau.synth.data.checks.facts import Context, Facts, Made, Tool, leaves, observed, plain
from nexau.synth.data.checks.rule import Finding, at, short
from nexau.synth.words import raw_words

_GOLD_PATHS = re.compile(
    r"(?:^|[/_.-])(?:gold|oracle|answer[_-]?key|ground[_-]?truth|expected[_-]?(?:output|answer)s?|"
    r"solutions?|reference[_-]?answers?|hidden[_-]?tests?)(?:[/_.-]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_GOLD_WORDS = ("gold", "oracle", "answer", "truth", "expected", "solution", "hidden")
_GOLD_KEYS = ("gold", "gold_answer", "expected", "expected_answer", "answer", "reference")
_SYNTHETIC = re.compile(
    r"(?:^|\n|\W)(?:persona|difficulty(?: level)?|problem[ _]type|question[ _]type|seed tools?|"
    r"task[ _]type|gold plan|fuzzified|target tools?)\s*[:=]"
    r"|\byou are generating\b|\bas an ai (?:language )?model\b"
    r"|\bhere is (?:the|a) (?:question|task)\b"
    r"|\bgenerate (?:a|an|three|the) (?:question|task|quer)",
    re.IGNORECASE,
)
_SNAKE = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)+|[a-z]+[A-Z]\w*")
_COSINE = 0.8
_SECRETS = re.compile(
    r"\bAKIA[0-9A-Z]{16}\b|\bASIA[0-9A-Z]{16}\b|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bxox[abprs]-[\w-]{10,}"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bAIza[\w-]{35}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"
    r"|\bhf_[A-Za-z0-9]{30,}|\bglpat-[\w-]{20,}"
)
_MARKS = re.compile("AKIA|ASIA|sk-|gh[pousr]_|github_pat_|xox|PRIVATE|AIza|eyJ|hf_|glpat-")
"""How keys begin."""
_LEAST_KEY = b"x" * 13
"""The shortest run of letters, digits and `+/_-` that a key has (`eyJ` and ten)."""
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_CARD = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])")
_DIGITS = bytes(ord("0") if ord("0") <= code <= ord("9") else code for code in range(256))
_CARD_FORMS = (b"000-00-0000", b"0" * 13, b"0000 0000 0000", b"0000-0000-0000")
"""What a text with such a number has, once every digit is a 0."""
_NINE = b"0" * 9
"""What each of these has without spaces and dashes."""
_TOKENS = bytes(
    code if code < 128 and (chr(code).isalnum() or chr(code) in "+/_-") else ord(" ")
    for code in range(256)
)
_RUNS = bytes(code if code == ord(" ") else ord("x") for code in range(256))
_ALL_RUNS = _TOKENS.translate(_RUNS)
_LEAST_RANDOM = 32
_LONG = b"x" * _LEAST_RANDOM
_HEX = re.compile(r"[0-9a-fA-F-]+")
_ENTROPY = 4.5
"""Bits a character; hashes in hexadecimal have at most 4."""


def oracle_leak(facts: Facts) -> Iterator[Finding]:
    """15. Reads where gold answers lie, or says the gold answer before anything showed it."""
    arguments = facts.arguments_lower
    if any(word in arguments for word in _GOLD_WORDS):
        for _, made in facts.calls():
            for value in leaves(made.call.arguments):
                if isinstance(value, str) and _is_gold_path(facts, value):
                    said = f"goes for {short(value)!r}"
                    yield at(made, "oracle_leak", "hard", said, "/arguments")
    gold = [text for text in _gold(facts.trajectory.metadata) if text not in facts.asked]
    if gold and facts.root is not None:
        yield from _foretold(facts, facts.root, gold)


def _is_gold_path(facts: Facts, value: str) -> bool:
    if len(value) >= 400 or _GOLD_PATHS.search(value) is None:
        return False
    return value not in facts.asked and not _listed(facts, value)


def _listed(facts: Facts, value: str) -> bool:
    """Whether it is a thing of the world that a listing showed, and not of its maker."""
    return False if "/" in value else any(value in seen for seen in facts.observations)


def _gold(metadata: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key in _GOLD_KEYS:
        for value in leaves(metadata.get(key)):
            text = plain(value)
            if len(text) >= 6 or (text.isdigit() and len(text) >= 4):
                found.append(text)
    return found


def _foretold(facts: Facts, root: Context, gold: list[str]) -> Iterator[Finding]:
    seen = "\n".join(root.prompts)
    for step in root.steps:
        said = step.response + " ".join(
            plain(value) for call in step.calls for value in leaves(call.arguments)
        )
        for text in gold:
            if text in said and text not in seen:
                yield Finding("oracle_leak", "hard", f"{short(text)!r} is said before it was seen",
                              step.index, step.agent, "response")  # fmt: skip
                return
        seen += "\n".join(observed(result) for result in step.results)


def synthetic_leak(facts: Facts) -> Iterator[Finding]:
    """16. The generator's own words in a prompt."""
    texts: list[tuple[str, str, int | None]] = [("input", facts.trajectory.input, None)]
    for step in facts.prompted:
        texts += [
            ("prompt", message.content, step.index)
            for message in step.prompt
            if isinstance(message, SystemMessage | UserMessage)
        ]
    for place, text, index in texts:
        if text in _clean:
            continue
        found = _SYNTHETIC.search(text)
        said = found.group().strip() if found else _template(text, facts.limits.templates)
        if said:
            text = f"{short(said)!r} is a generator's"
            yield Finding("synthetic_leak", "hard", text, index, path=place)
        elif not facts.limits.templates:
            if len(_clean) > _KEPT:
                _clean.clear()
            _clean.add(text)


_clean: set[str] = set()
"""Prompts in which nothing was found: the same ones come again and again."""
_KEPT = 4096


def _template(text: str, templates: frozenset[str]) -> str | None:
    if not templates:
        return None
    return next((gram for gram in grams8(text) if gram in templates), None)


def grams8(text: str) -> list[str]:
    """Runs of eight words."""
    words = raw_words(text)
    return [" ".join(words[i : i + 8]) for i in range(len(words) - 7)]


def tool_name_leak(facts: Facts) -> Iterator[Finding]:
    """17. The task names a tool, or says what a tool's description says."""
    root = facts.root
    text = facts.trajectory.input
    if root is None or not root.tools:
        return
    written = _SNAKE.findall(text)
    named = next((name for name in root.tools if name in written), None) if written else None
    if named is not None:
        yield Finding("tool_name_leak", "score", f"the task names {named}", path="input")
        return
    mine = _counts(text)
    if not _reachable(mine, root.tools):
        return
    for name, tool in root.tools.items():
        if _cosine(mine, _counts(tool.spec.description)) >= _COSINE:
            yield Finding("tool_name_leak", "score", f"the task is the description of {name}",
                          path="input")  # fmt: skip
            return


Counts = tuple[dict[str, int], float]
"""Of words, and the length of that vector."""
_known: dict[str, Counts] = {}
_vocabularies: dict[int, tuple[dict[str, Tool], frozenset[str]]] = {}
"""By the id of the tools, which the entry holds."""


def _reachable(mine: Counts, tools: dict[str, Tool]) -> bool:
    """Whether a cosine of `_COSINE` can be: with any tool it is at most the length of what I share
    with all of them, over my length."""
    found = _vocabularies.get(id(tools))
    if found is None:
        if len(_vocabularies) > 512:
            _vocabularies.clear()
        words = (word for tool in tools.values() for word in raw_words(tool.spec.description))
        found = _vocabularies[id(tools)] = (tools, frozenset(words))
    shared = sum(count * count for word, count in mine[0].items() if word in found[1])
    return shared >= (_COSINE * mine[1]) ** 2


def _counts(text: str) -> Counts:
    found = _known.get(text)
    if found is None:
        counts: dict[str, int] = {}
        for word in raw_words(text):
            counts[word] = counts.get(word, 0) + 1
        if len(_known) > 4096:
            _known.clear()
        found = _known[text] = (counts, math.sqrt(sum(c * c for c in counts.values())))
    return found


def _cosine(one: Counts, other: Counts) -> float:
    mine, theirs = one[0], other[0]
    shared = mine.keys() & theirs.keys()
    if not shared:
        return 0.0
    return sum(mine[word] * theirs[word] for word in shared) / (one[1] * other[1])


def secrets(facts: Facts) -> Iterator[Finding]:
    """22. Keys, tokens, card and social security numbers, and long texts of high entropy."""
    # Arguments as they stand in JSON will do to see that there is nothing to look for.
    spoken = [step.response for step in facts.spoken]
    users = [text for context in facts.contexts.values() for text in context.users]
    whole = "\n".join([facts.seen, facts.arguments, *users, *spoken])
    if not _suspect(whole) or secret(facts.everything) is None:
        return
    for context in facts.contexts.values():
        for text in (*context.prompts, *context.users):
            if found := secret(text):
                yield Finding("secrets", "hard", found, agent=context.path, path="prompt")
        for step in context.steps:
            if found := secret(step.response):
                yield Finding("secrets", "hard", found, step.index, step.agent, "response")
        for made in context.calls:
            yield from _in_call(made)


def _in_call(made: Made) -> Iterator[Finding]:
    for value in leaves(made.call.arguments):
        if isinstance(value, str) and (found := secret(value)):
            yield at(made, "secrets", "hard", found, "/arguments")
    if found := secret(made.said):
        yield at(made, "secrets", "hard", found)


def _suspect(text: str) -> bool:
    """Whether `secret` has to look at it: quick, and never wrong where it says no."""
    raw = text.encode("utf-8", "replace")
    if _NINE in raw.translate(_DIGITS, b" -"):
        return True
    runs = raw.translate(_ALL_RUNS)
    if _LEAST_KEY in runs and (_LONG in runs or _MARKS.search(text) is not None):
        return True
    return "PRIVATE KEY" in text


def secret(text: str) -> str | None:
    """What of a text is secret, shown by its first letters only."""
    if _MARKS.search(text) is not None and (found := _SECRETS.search(text)) is not None:
        return f"{found.group()[:6]}... has the form of a key"
    raw = text.encode("utf-8", "replace")
    digits = raw.translate(_DIGITS)
    if any(form in digits for form in _CARD_FORMS) and (number := _number(text)) is not None:
        return number
    marked = raw.translate(_TOKENS)
    if _LONG not in marked.translate(_RUNS):
        return None
    for token in marked.split():
        if len(token) >= _LEAST_RANDOM and _is_random(token.decode()):
            return f"{token[:6].decode()}... ({len(token)} characters) is as random as a key"
    return None


def _number(text: str) -> str | None:
    found = _SSN.search(text)
    if found is not None:
        return f"{found.group()[:3]}... has the form of a social security number"
    for match in _CARD.finditer(text):
        number = re.sub(r"\D", "", match.group())
        if number[0] in "3456" and luhn(number):
            return f"{number[:4]}... has the form of a card number"
    return None


def _is_random(token: str) -> bool:
    if _HEX.fullmatch(token) or ("/" in token[1:-1] and token.count("/") > 1):
        return False
    mixed = any(c.isdigit() for c in token) and any(c.isupper() for c in token)
    return mixed and any(c.islower() for c in token) and entropy(token) > _ENTROPY


def entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    counts: dict[str, int] = {}
    for letter in text:
        counts[letter] = counts.get(letter, 0) + 1
    total = len(text)
    return -sum(c / total * math.log2(c / total) for c in counts.values())


def luhn(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0 and len(set(digits)) > 1
