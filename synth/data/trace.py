"""Where the arguments of calls come from, and how long the chains of calls are.

A leaf of an argument is traced when it is in what its agent had seen: the user's words, the system
prompt, an earlier result of the same agent, a constant of the schema; or when it follows from
numbers there. Free text (query, body, code ...) and the sizes of pages are exempt.
"""

import re
from datetime import datetime

from msgspec import Struct

from nexau.synth.data.checks.facts import Context, Facts, Made, placed, plain
from nexau.synth.data.checks.grounding import follows, number_word

LEAST = 4
"""Characters of a text that count where it is only a part of what was seen."""
FREE = frozenset({
    "query", "body", "text", "code", "content", "message", "prompt", "task", "subject", "note",
    "notes", "comment", "description", "reason", "resolution", "title", "summary", "thought",
    "instructions", "sql", "input", "answer",
    "limit", "offset", "page", "size", "count", "top_k", "max_results", "page_size",
})  # fmt: skip
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MOST = 32


class Traced(Struct, gc=False):
    """Of the calls of one trajectory."""

    leaves: int = 0
    """Arguments that are not free text."""
    traced: int = 0
    chain: int = 0
    """The longest path of calls each of which takes something from the one before."""
    edges: int = 0


def trace(facts: Facts) -> Traced:
    made = Traced()
    for context in facts.contexts.values():
        _context(facts, context, made)
    return made


def _context(facts: Facts, context: Context, total: Traced) -> None:
    given = "\n".join([facts.trajectory.input if context.path == "root" else "",
                       *context.users, *context.prompts])  # fmt: skip
    base = _Seen(given)
    earlier: list[tuple[Made, _Seen]] = []
    depths: dict[int, int] = {}
    for made in context.calls:
        # Calls of one turn do not see each other's results.
        known = len(earlier)
        while known and earlier[known - 1][0].step is made.step:
            known -= 1
        before = earlier[:known] if known < len(earlier) else earlier
        depth = 1
        for path, value in placed(made.call.arguments):
            if _name(path) in FREE:
                continue
            total.leaves += 1
            wanted = _Wanted(value)
            given_ = base.has(wanted) or _constant(made, wanted.text)
            sources = [m for m, s in before if s.has(wanted)]
            if not given_ and sources:
                total.edges += 1
                depth = max(depth, 1 + max(depths[m.order] for m in sources))
            if given_ or sources or _follows(value, base, before):
                total.traced += 1
        depths[made.order] = depth
        total.chain = max(total.chain, depth)
        if made.result is not None:
            earlier.append((made, _Seen(made.said)))


def _name(path: str) -> str:
    """Of the argument: the last key of a pointer that is no index."""
    last = path.rpartition("/")[2]
    if last.isdigit():
        last = next((key for key in reversed(path.split("/")) if not key.isdigit()), "")
    return last.lower()


def _constant(made: Made, text: str) -> bool:
    return made.tool is not None and text in made.tool.constants


class _Wanted:
    """A value, in the forms in which it is looked for."""

    __slots__ = ("dates", "folded", "text", "whole", "word")

    def __init__(self, value: object) -> None:
        text = self.text = plain(value)
        self.whole = isinstance(value, int | float) or len(text) < LEAST
        """Whether it counts only where nothing runs on at its sides."""
        self.word = number_word(int(text)) if text.isdigit() and len(text) <= 2 else None
        self.folded = text.casefold()
        self.dates = _dates(text) if len(text) >= 8 and text[:4].isdigit() else ()


class _Seen:
    """A text, and what it says once normalised."""

    __slots__ = ("_folded", "numbers", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._folded: str | None = None
        self.numbers: list[float] | None = None

    def has(self, wanted: _Wanted) -> bool:
        if not wanted.text:
            return True
        if wanted.whole:
            return self._whole(wanted)
        if wanted.text in self.text:
            return True
        folded = self.folded
        return wanted.folded in folded or any(form in folded for form in wanted.dates)

    @property
    def folded(self) -> str:
        if self._folded is None:
            self._folded = self.text.casefold()
        return self._folded

    def _whole(self, wanted: _Wanted) -> bool:
        text = wanted.text
        place = self.text.find(text)
        while place >= 0:
            before = self.text[place - 1 : place]
            after = self.text[place + len(text) : place + len(text) + 1]
            if not before.isalnum() and not after.isalnum():
                return True
            place = self.text.find(text, place + 1)
        return wanted.word is not None and wanted.word in self.folded

    def values(self) -> list[float]:
        if self.numbers is None:
            self.numbers = [float(each) for each in _NUMBER.findall(self.text)[:_MOST]]
        return self.numbers


def _dates(text: str) -> list[str]:
    """Other ways to write an ISO date."""
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        return []
    return [day.strftime(form).casefold() for form in ("%d %B %Y", "%B %d, %Y", "%d.%m.%Y")]


def _follows(value: object, base: _Seen, before: list[tuple[Made, _Seen]]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    numbers = list(base.values())
    for _, seen in before:
        numbers += seen.values()
    return follows(float(value), numbers[:_MOST])
