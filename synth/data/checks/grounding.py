"""Where values come from: seen before, or made up (rules 10, 20, 21)."""

import re
from collections.abc import Iterator
from math import isclose

from nexau.synth.data.checks.facts import Context, Facts, Made, leaves, plain
from nexau.synth.data.checks.rule import Finding, at, short

TOLERANCE = 0.005
"""Of a number that follows from others."""
_MOST = 160
"""Numbers that are combined in search of one that follows."""
_CLAIM = re.compile(
    r"https?://[^\s)>\]\"']+"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|\b\d{4}-\d{2}-\d{2}\b"
    r"|\b[A-Za-z]{1,6}[-_#]\d[\w-]*\b"
    r"|(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w])"
)
_NUMBER = re.compile(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?(?![\w])")
_IS_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_SMALL = 10
"""Numbers up to here count things, and are let be."""
_UNITS = (100.0, 1000.0, 60.0, 24.0, 7.0, 12.0)
_MIXED = (60.0, 24.0, 12.0, 7.0)
_FEW = 12
_PLACEHOLDER = re.compile(
    r"example\.(?:com|org|net)|\bYOUR[_ ]|\byour[-_](?:api|key|token|id|name|email)|^<[^<>]+>$"
    r"|\bTODO\b|\bTBD\b|\bFIXME\b|^x{3,}$|\bxxxx+\b|^123456(?:789)?0?$|\bplaceholder\b|\bfoo@bar\b"
    r"|lorem ipsum",
    re.IGNORECASE | re.MULTILINE,
)

_PLACE_MARKS = (
    "example.", "your", "<", "todo", "tbd", "fixme", "xxx", "123456", "placeholder", "foo@bar",
    "lorem",
)  # fmt: skip
"""What each of those has: cheap to look for."""


def unsupported_claim(facts: Facts) -> Iterator[Finding]:
    """10. A number, date, URL or identifier in the answer that nobody has said and none follows."""
    answer = facts.answer
    if not answer:
        return
    seen = facts.seen
    numbers: list[float] | None = None
    for match in _CLAIM.finditer(answer):
        claim = match.group().rstrip(".,;:")
        if not claim or _said(claim, seen):
            continue
        if _IS_NUMBER.fullmatch(claim):
            value = float(claim.replace(",", "").lstrip("+"))
            if abs(value) <= _SMALL and value == int(value):
                continue
            if numbers is None:
                numbers = seen_numbers(facts)
            if follows(value, numbers) or _over_columns(value, facts):
                continue
        yield Finding("unsupported_claim", "hard", f"{claim!r} is in nothing that was seen",
                      path="answer")  # fmt: skip


def _said(claim: str, seen: str) -> bool:
    if _IS_NUMBER.fullmatch(claim):
        bare = re.escape(claim.replace(",", "").lstrip("+"))
        return re.search(rf"(?<![\d.]){bare}(?![\d])", seen.replace(",", "")) is not None
    return claim in seen or claim.casefold() in seen.casefold()


def seen_numbers(facts: Facts) -> list[float]:
    """Numbers of the user's words and of results, and the sizes of lists in these."""
    found: dict[float, None] = {}
    for text in (facts.asked, *facts.observations):
        for match in _NUMBER.finditer(text):
            found[float(match.group().replace(",", ""))] = None
            if len(found) >= _MOST:
                break
    for _, made in facts.calls():
        if made.result is not None:
            for size in sizes(made.result.structured):
                found[float(size)] = None
    return list(found)


def _columns(facts: Facts) -> Iterator[list[float]]:
    """The numbers of a field over the rows of one list."""
    for _, made in facts.calls():
        if made.result is not None and isinstance(made.result.structured, dict):
            for rows in made.result.structured.values():
                if isinstance(rows, list) and rows and isinstance(rows[0], dict):
                    for key in rows[0]:
                        column = [row.get(key) for row in rows if isinstance(row, dict)]
                        numbers = [float(v) for v in column if isinstance(v, int | float)]
                        if len(numbers) > 2:
                            yield numbers


def _over_columns(value: float, facts: Facts) -> bool:
    """Whether it is the sum, the mean or the range of a column."""
    return any(
        _near(value, sum(column))
        or _near(value, sum(column) / len(column))
        or _near(value, max(column) - min(column))
        for column in _columns(facts)
    )


def sizes(value: object) -> Iterator[int]:
    if isinstance(value, list):
        yield len(value)
        for each in value:
            yield from sizes(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from sizes(each)


def follows(value: float, numbers: list[float]) -> bool:
    """Whether it is one of them, a unit of one, a sum of all, or of two the sum, difference,
    product, ratio, percentage or mean, within half a percent."""
    if any(_near(value, each) for each in numbers) or _near(value, sum(numbers)):
        return True
    if any(_near(value, n * u) or _near(value, n / u) for n in numbers for u in _UNITS):
        return True
    if len(numbers) <= _FEW and any(
        _near(value, one * unit + other) for one in numbers for other in numbers for unit in _MIXED
    ):
        return True  # 3 hours and 36 minutes
    return any(
        _of_two(value, one, other) for index, one in enumerate(numbers) for other in numbers[index:]
    )


def _of_two(value: float, one: float, other: float) -> bool:
    low, high = value - abs(value) * TOLERANCE, value + abs(value) * TOLERANCE
    if low <= one + other <= high or low <= abs(one - other) <= high:
        return True
    if low <= one * other <= high or low <= one * other / 100 <= high:
        return True
    if low <= (one + other) / 2 <= high:
        return True
    if not other or not one:
        return False
    ratio = one / other
    if low <= ratio <= high or low <= 100 * ratio <= high:
        return True
    return low <= 1 / ratio <= high or low <= 100 / ratio <= high


def _near(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=TOLERANCE)


def ungrounded_argument(facts: Facts) -> Iterator[Finding]:
    """20. A required argument that names something, and that nothing before has named."""
    for context in facts.contexts.values():
        known = _Known(facts, context)
        for made in context.calls:
            tool, arguments = made.tool, made.call.arguments
            if tool is None or arguments is None or tool.delegates or not tool.identifiers:
                continue
            latest = _latest(context, made)
            for name in tool.identifiers:
                given = arguments.get(name)
                if type(given) is str and given and given in latest:
                    continue  # mostly it was said just now
                known.before(made)
                if type(given) is str and known.has(given):
                    continue
                for value in leaves(given):
                    text = plain(value)
                    if text in tool.constants or known.has(text):
                        continue
                    if _new_file(name, made) or _mended(context, made):
                        continue
                    yield at(made, "ungrounded_argument", "hard",
                             f"{name} {short(text)!r} is in nothing that {context.path} has seen",
                             f"/arguments/{name}")  # fmt: skip


def _latest(context: Context, made: Made) -> str:
    """What the call before said, if that was in a step before."""
    before = context.calls[made.order - 1] if made.order else made
    return before.said if before.step is not made.step else ""


def _mended(context: Context, made: Made) -> bool:
    """Refused, and then done right: a slip that was seen is no invention."""
    if made.result is None or not made.result.is_error:
        return False
    return any(
        later.call.name == made.call.name and later.result is not None and not later.result.is_error
        for later in context.calls[made.order + 1 :]
    )


def _new_file(name: str, made: Made) -> bool:
    """A path that is written to may be new."""
    return (
        made.tool is not None and made.tool.writes and name.lower().endswith(("path", "filename"))
    )


class _Known:
    """What an agent has seen, as it goes on."""

    def __init__(self, facts: Facts, context: Context) -> None:
        said = context.users if context.path != "root" else [facts.trajectory.input]
        self._parts = [*said, *context.users, *context.prompts]
        self._text: str | None = None
        self._folded: str | None = None
        self._calls = context.calls
        self._place = 0

    def before(self, made: Made) -> None:
        """All results of the steps before that of `made` are known now."""
        calls = self._calls
        while self._place < made.order and calls[self._place].step is not made.step:
            if calls[self._place].result is not None:
                self._parts.append(calls[self._place].said)
                self._text = self._folded = None
            self._place += 1

    def has(self, text: str) -> bool:
        if self._text is None:
            self._text = "\n".join(self._parts)
        if text in self._text:
            return True
        if self._folded is None:
            self._folded = self._text.casefold()
        if text.isdigit() and len(text) <= 2 and number_word(int(text)) in self._folded:
            return True
        if text.casefold() in self._folded:
            return True
        # A path or URL may be put together from parts that were seen.
        if "/" in text:
            parts = [part for part in text.split("/") if len(part) > 1]
            return bool(parts) and all(part in self._text for part in parts)
        return False


_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def number_word(number: int) -> str:
    """Of 0 to 99."""
    if number < 20:
        return _ONES[number]
    tens = _TENS[number // 10 - 2]
    return tens if number % 10 == 0 else f"{tens}-{_ONES[number % 10]}"


def placeholder_argument(facts: Facts) -> Iterator[Finding]:
    """21. `example.com`, `YOUR_`, `<...>`, `TODO`, `xxx`, `123456`, that no input has."""
    arguments = facts.arguments_lower
    if not any(mark in arguments for mark in _PLACE_MARKS):
        return
    for context, made in facts.calls():
        if made.call.arguments is None:
            continue
        for value in leaves(made.call.arguments):
            text = plain(value)
            found = _PLACEHOLDER.search(text)
            if found is None or text in facts.seen:
                continue
            if made.tool is not None and text in made.tool.constants:
                continue
            if found.group() in facts.asked or any(found.group() in u for u in context.users):
                continue
            yield at(made, "placeholder_argument", "hard", f"{short(text)!r} stands for something",
                     "/arguments")  # fmt: skip
