"""A text that a regular expression matches, for the patterns that JSON Schemas have.

Groups, alternatives, classes and repeats; no references, no looking around.
"""

import string
from collections.abc import Iterator

_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_MOST = 10_000
"""Characters of a text."""


def text_for(pattern: str) -> str | None:
    """The plainest text that `pattern` matches; None for a pattern of another kind."""
    try:
        reader = _Reader(pattern)
        made = reader.alternatives()
        return made if reader.done() and len(made) <= _MOST else None
    except (ValueError, IndexError, RecursionError):
        return None


class _Reader:
    """Reads a pattern and writes the text, the least repeats and the first alternatives."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def done(self) -> bool:
        return self._at == len(self._pattern)

    def alternatives(self) -> str:
        first = self._sequence()
        while self._next("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        while not self.done() and self._pattern[self._at] not in "|)":
            atom = self._atom()
            yield atom * self._repeats()

    def _atom(self) -> str:
        mark = self._take()
        if mark in "^$":
            return ""
        if mark == "(":
            return self._group()
        if mark == "[":
            return self._class()
        if mark == "\\":
            return self._escape()
        if mark == ".":
            return "a"
        if mark in "*+?{":
            raise ValueError(mark)
        return mark

    def _group(self) -> str:
        if self._next("?"):
            if self._next("P<") or self._next("<"):
                if self._pattern[self._at] in "=!":
                    raise ValueError("it looks behind")
                self._at = self._pattern.index(">", self._at) + 1
            elif not self._next(":"):
                raise ValueError("it looks ahead")
        made = self.alternatives()
        if not self._next(")"):
            raise ValueError("no )")
        return made

    def _class(self) -> str:
        refused = self._next("^")
        members: list[str] = []
        while not (members and self._next("]")):
            mark = self._take()
            if mark == "\\":
                mark = self._escape()
            if self._pattern[self._at] == "-" and self._pattern[self._at + 1] != "]":
                self._at += 1
                last = self._take()
                members += map(chr, range(ord(mark), min(ord(last), ord(mark) + 200) + 1))
            else:
                members.append(mark)
        if not refused:
            return members[0]
        return next(c for c in string.ascii_lowercase + string.digits + "- " if c not in members)

    def _escape(self) -> str:
        mark = self._take()
        if mark in "bBAZz":
            return ""
        if mark in "nrt":
            return {"n": "\n", "r": "\r", "t": "\t"}[mark]
        if mark in "pPux" or mark.isdigit():
            raise ValueError(mark)
        return _CLASSES.get(mark, mark)

    def _repeats(self) -> int:
        least = 1
        if self._next("?") or self._next("*"):
            least = 0
        elif self._next("{"):
            end = self._pattern.index("}", self._at)
            least = int(self._pattern[self._at : end].partition(",")[0] or 0)
            self._at = end + 1
        elif not self._next("+"):
            return 1
        if not self._next("?"):  # lazy or possessive, which matter to no match
            self._next("+")
        return least

    def _take(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _next(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        if found:
            self._at += len(text)
        return found
