"""Texts that match a regular expression, for trying tools: the common part of the syntax.

Literals, `.`, classes, `\\d \\w \\s`, groups, `|`, `? * + {n} {n,m}` and anchors; of endless
repetition a few. What else a pattern may hold (back references, look-around, negated classes) gives
None.
"""

import random
import re
import string

_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " "}
_ANY = string.ascii_letters + string.digits
_MORE = 3
"""Repetitions beyond the least, where there is no most."""
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")


class _Unknown(Exception):
    pass


def text_for(pattern: str, rng: random.Random) -> str | None:
    """None for a pattern that is not understood."""
    try:
        made, rest = _branches(pattern, rng)
    except (_Unknown, IndexError):
        return None
    return made if not rest else None


def _branches(pattern: str, rng: random.Random) -> tuple[str, str]:
    """One of the alternatives, and what stands behind them."""
    made: list[str] = []
    while True:
        text, pattern = _sequence(pattern, rng)
        made.append(text)
        if not pattern.startswith("|"):
            return rng.choice(made), pattern
        pattern = pattern[1:]


def _sequence(pattern: str, rng: random.Random) -> tuple[str, str]:
    parts: list[str] = []
    while pattern and pattern[0] not in "|)":
        if pattern[0] in "^$":
            pattern = pattern[1:]
            continue
        # The same piece of pattern is made anew for each repetition.
        _, rest = _atom(pattern, rng)
        least, most, after = _quantifier(rest)
        parts += [_atom(pattern, rng)[0] for _ in range(rng.randint(least, most))]
        pattern = after
    return "".join(parts), pattern


def _quantifier(pattern: str) -> tuple[int, int, str]:
    if pattern[:1] in {"?", "*", "+"}:
        least = int(pattern[0] == "+")
        return least, 1 if pattern[0] == "?" else least + _MORE, pattern[1:].removeprefix("?")
    found = _COUNT.match(pattern)
    if found is None:
        return 1, 1, pattern
    least = int(found[1])
    most = int(found[3]) if found[3] else least + _MORE * bool(found[2])
    return least, most, pattern[found.end() :]


def _atom(pattern: str, rng: random.Random) -> tuple[str, str]:
    head = pattern[0]
    if head == "(":
        inner = pattern[1:].removeprefix("?:")
        if inner.startswith("?"):
            raise _Unknown
        made, rest = _branches(inner, rng)
        if not rest.startswith(")"):
            raise _Unknown
        return made, rest[1:]
    if head == "[":
        return _class(pattern, rng)
    if head == "\\":
        if pattern[1] in _CLASSES:
            return rng.choice(_CLASSES[pattern[1]]), pattern[2:]
        if pattern[1].isalnum():
            raise _Unknown
        return pattern[1], pattern[2:]
    return rng.choice(_ANY) if head == "." else head, pattern[1:]


def _class(pattern: str, rng: random.Random) -> tuple[str, str]:
    if pattern[1] == "^":
        raise _Unknown
    choices: list[str] = []
    at = 1
    while pattern[at] != "]" or at == 1:
        char = pattern[at]
        if char == "\\":
            at += 1
            choices += _CLASSES.get(pattern[at], pattern[at])
        elif pattern[at + 1] == "-" and pattern[at + 2] != "]":
            choices += map(chr, range(ord(char), ord(pattern[at + 2]) + 1))
            at += 2
        else:
            choices.append(char)
        at += 1
    return rng.choice(choices), pattern[at + 1 :]
