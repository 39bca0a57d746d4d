"""Doing, or saying, the same again (rules 5, 6, 7, 13)."""

import re
from collections.abc import Iterator

from nexau.synth.data.checks.facts import Context, Facts, Made
from nexau.synth.data.checks.rule import Finding, at, short

LOOPS = 3
_SHARE = 0.2
_FEWEST = 24
"""Words of a text below which no share of its 8-grams is looked at."""
_RUN = re.compile(r"([^\s\-=_.*#~+|0])\1{11}")
_DECIDED = frozenset({"tool_error", "invalid_arguments", "unknown_tool"})
"""Errors that come again when the call does."""


def exact_loop(facts: Facts) -> Iterator[Finding]:
    """5. The same call at least three times, with the same result, and nothing written between."""
    for context in facts.contexts.values():
        keys = [made.key for made in context.calls]
        if len(keys) - len(set(keys)) < LOOPS - 1:
            continue
        seen: dict[tuple[str, bytes], list[Made]] = {}
        for made in context.calls:
            if made.wrote:
                seen.clear()
            same = seen.setdefault(made.key, [])
            if same and same[-1].said != made.said:
                same.clear()
            same.append(made)
            if len(same) == LOOPS:
                said = f"{made.call.name} {LOOPS} times with the same arguments and result"
                yield at(made, "exact_loop", "score", said)


def cycle(facts: Facts) -> Iterator[Finding]:
    """6. The calls end in a period of 2 to 4, at least three times over."""
    for context in facts.contexts.values():
        if len(context.calls) < 2 * LOOPS:
            continue
        keys = [made.key for made in context.calls[-4 * LOOPS :]]
        for period in (2, 3, 4):
            length = period * LOOPS
            if len(keys) < length:
                break
            tail = keys[-length:]
            if tail == tail[:period] * LOOPS and len(set(tail)) > 1:
                names = ", ".join(made.call.name for made in context.calls[-period:])
                yield at(context.calls[-1], "cycle", "score", f"{LOOPS} times: {names}")
                break


def text_repetition(facts: Facts) -> Iterator[Finding]:
    """7. More than a fifth of a text's 8-grams are repeats, or one character stands 12 times."""
    for step in facts.spoken:
        text = step.response
        if len(text) < 12:
            continue
        found = _RUN.search(text)
        if found is not None:
            yield Finding("text_repetition", "score", f"{found[1]!r} 12 times in a row",
                          step.index, step.agent, "response")  # fmt: skip
            continue
        share = repeated_share(text)
        if share > _SHARE:
            yield Finding("text_repetition", "score", f"{share:.0%} of the 8-grams are repeats: "
                          f"{short(text)}", step.index, step.agent, "response")  # fmt: skip


def repeated_share(text: str, size: int = 8) -> float:
    words = text.split()
    if len(words) < _FEWEST:
        return 0.0
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return 1 - len(set(grams)) / len(grams)


def blind_retry(facts: Facts) -> Iterator[Finding]:
    """13. The same call again after an error that comes again with it."""
    for context in facts.contexts.values():
        if any(made.result is not None and made.result.is_error for made in context.calls):
            yield from _retries(context)


def _retries(context: Context) -> Iterator[Finding]:
    failed: dict[tuple[str, bytes], Made] = {}
    for made in context.calls:
        if made.key in failed and made.step is not failed[made.key].step:
            error = failed[made.key].said
            said = f"{made.call.name} again, unchanged, after {short(error)!r}"
            yield at(made, "blind_retry", "score", said)
        if made.wrote:
            failed.clear()
        result = made.result
        if result is not None and result.is_error and result.error_class in _DECIDED:
            failed[made.key] = made
        else:
            failed.pop(made.key, None)
