"""How a rollout ends: with an answer, whole, in the user's script (rules 8, 9, 18)."""

import re
from collections.abc import Iterator

from nexau.synth.data.checks.facts import Facts
from nexau.synth.data.checks.rule import Finding, short

_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_PAIRS = (
    ("<think>", "</think>"),
    ("<tool_call>", "</tool_call>"),
    ("<tool_use>", "</tool_use>"),
    ("<answer>", "</answer>"),
    ("<code>", "</code>"),
    ("<table>", "</table>"),
)
_SCRIPTS = (
    ("Greek", 0x370, 0x3FF), ("Cyrillic", 0x400, 0x52F), ("Hebrew", 0x590, 0x5FF),
    ("Arabic", 0x600, 0x77F), ("Devanagari", 0x900, 0x97F), ("Thai", 0xE00, 0xE7F),
    ("Kana", 0x3040, 0x30FF), ("Han", 0x3400, 0x9FFF), ("Hangul", 0xAC00, 0xD7AF),
)  # fmt: skip
_EAST = frozenset({"Han", "Kana"})
_FEWEST = 8
"""Letters of a text below which it has no script to speak of."""


def empty_final(facts: Facts) -> Iterator[Finding]:
    """8. The last message is not the assistant's, or blank without its thoughts."""
    root = facts.root
    if root is None:
        yield Finding("empty_final", "hard", "the root never spoke")
        return
    last = root.steps[-1]
    if last.calls:
        yield Finding(
            "empty_final", "hard", "the last message is a result", last.index, path="calls"
        )
    elif not _THOUGHT.sub("", last.response).strip():
        yield Finding("empty_final", "hard", "the last message is blank", last.index,
                      path="response")  # fmt: skip


def truncated(facts: Facts) -> Iterator[Finding]:
    """9. Cut by the length of a turn, by a limit, or in the middle of markup."""
    trajectory = facts.trajectory
    if trajectory.status == "limit":
        yield Finding("truncated", "hard", f"ended by a limit: {trajectory.limit}", path="limit")
    for step in trajectory.steps:
        if step.finish_reason == "length":
            yield Finding("truncated", "hard", f"the turn was cut: {short(step.response[-60:])!r}",
                          step.index, step.agent, "finish_reason")  # fmt: skip
        text = step.response
        if text and ("<" in text or "`" in text) and (open_ := unbalanced(text)):
            yield Finding("truncated", "hard", f"{open_} is not closed", step.index, step.agent,
                          "response")  # fmt: skip


def unbalanced(text: str) -> str | None:
    """The first mark that is opened and not closed."""
    if text.count("```") % 2:
        return "```"
    for opened, closed in _PAIRS:
        if text.count(opened) > text.count(closed):
            return opened
    return None


def language_drift(facts: Facts) -> Iterator[Finding]:
    """18. The answer's dominant script is not the user's."""
    asked, answer = facts.asked, facts.answer
    if asked.isascii() and answer.isascii():
        return
    mine, theirs = script(answer), script(asked)
    if mine is None or theirs is None or mine == theirs or {mine, theirs} <= _EAST:
        return
    yield Finding("language_drift", "score", f"asked in {theirs}, answered in {mine}",
                  path="answer")  # fmt: skip


def script(text: str) -> str | None:
    """The script of most letters; None where there are few."""
    counts: dict[str, int] = {}
    total = 0
    for letter in text[:4000]:
        if not letter.isalpha():
            continue
        total += 1
        code = ord(letter)
        name = "Latin"
        if code >= 0x370:
            name = next((n for n, low, high in _SCRIPTS if low <= code <= high), "other")
        counts[name] = counts.get(name, 0) + 1
    if total < _FEWEST and not any(name in counts for name in ("Han", "Kana", "Hangul")):
        return None
    return max(counts, key=lambda name: counts[name]) if counts else None
