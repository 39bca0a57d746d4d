"""Operators on compiled values: arithmetic and comparisons, checked by type.

Logic is two-valued: a comparison with null is false, `==` and `!=` treat null as a value.
"""

import msgspec

from nexau.files.nearest import hint
from nexau.synth.worlds.expressions import ExpressionError
from nexau.synth.worlds.kinds import BOOLEAN, NUMERIC, Kind, Sql, is_date, is_datetime, words

ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%"})


def need(made: Sql, names: tuple[str, ...], what: str, at: int) -> None:
    """Raises `ExpressionError` for a value of any other kind; null is of all."""
    if made.kind.name not in (*names, "null"):
        raise ExpressionError(f"expected {what}, got {words(made.kind)}", at)


def compute(sign: str, left: Sql, right: Sql, at: int) -> Sql:
    """`+` and its kin, on numbers, texts and dates. Raises `ExpressionError`."""
    a, b = left.kind.name, right.kind.name
    null = left.kind.null or right.kind.null
    if a in NUMERIC and b in NUMERIC:
        return _numbers(sign, left, right, null, at)
    if sign == "+" and a == b == "text":
        return Sql(f"({left.text} || {right.text})", Kind("text", null))
    if sign in "+-" and a == "date" and b == "integer":
        days = f"({'-' * (sign == '-')}({right.text})) || ' days'"
        return Sql(f"date({left.text}, {days})", Kind("date", True))
    if sign in "+-" and a == "datetime" and b == "integer":
        minutes = f"({'-' * (sign == '-')}({right.text})) || ' minutes'"
        text = f"strftime('%Y-%m-%dT%H:%M', {left.text}, {minutes})"
        return Sql(text, Kind("datetime", True))
    if sign == "-" and a == b and a in {"date", "datetime"}:
        factor = "" if a == "date" else " * 1440"
        text = f"(julianday({left.text}) - julianday({right.text})){factor}"
        return Sql(f"CAST(round({text}) AS INTEGER)", Kind("integer", null))
    mend = "; text(x) makes a text" if sign == "+" and "text" in {a, b} else ""
    raise ExpressionError(
        f"`{sign}` cannot join {words(left.kind)} and {words(right.kind)}{mend}", at
    )


def _numbers(sign: str, left: Sql, right: Sql, null: bool, at: int) -> Sql:
    both = left.kind.name == right.kind.name == "integer"
    if sign == "/":
        return Sql(f"(CAST({left.text} AS REAL) / {right.text})", Kind("number", True))
    if sign in {"//", "%"}:
        if not both:
            raise ExpressionError(f"`{sign}` is for whole numbers", at)
        return Sql(f"({left.text} {sign[0]} {right.text})", Kind("integer", True))
    kind = Kind("integer" if both else "number", null)
    return Sql(f"({left.text} {sign} {right.text})", kind)


def compare(sign: str, left: Sql, right: Sql, at: int) -> Sql:
    """`==` and its kin. Raises `ExpressionError` where the two are never alike."""
    left, right = as_moment(left, right, at), as_moment(right, left, at)
    a, b = left.kind.name, right.kind.name
    equality = sign in {"==", "!="}
    alike = a == b or (a in NUMERIC and b in NUMERIC) or (equality and "null" in {a, b})
    if not alike:
        raise ExpressionError(f"cannot compare {words(left.kind)} with {words(right.kind)}", at)
    _known_value(left, right, at)
    _known_value(right, left, at)
    null = left.kind.null or right.kind.null
    if equality:
        plain, safe = ("=", "IS") if sign == "==" else ("<>", "IS NOT")
        return Sql(f"({left.text} {safe if null else plain} {right.text})", BOOLEAN)
    if a == "boolean":
        raise ExpressionError(f"`{sign}` is not for true and false", at)
    text = f"({left.text} {sign} {right.text})"
    return Sql(f"coalesce({text}, 0)" if null else text, BOOLEAN)


def as_moment(made: Sql, other: Sql, at: int) -> Sql:
    """A literal text beside a date is one."""
    if isinstance(made.literal, str) and other.kind.name in {"date", "datetime"}:
        good = is_date if other.kind.name == "date" else is_datetime
        if not good(made.literal):
            form = "2026-03-02" if other.kind.name == "date" else "2026-03-02T09:30"
            raise ExpressionError(f"{made.literal!r} is not a {other.kind.name}, as {form}", at)
        return msgspec.structs.replace(made, kind=Kind(other.kind.name))
    return made


def _known_value(made: Sql, other: Sql, at: int) -> None:
    text, values = made.literal, other.kind.values
    if values and isinstance(text, str) and text not in values:
        raise ExpressionError(f"it is never {text!r}{hint(text, values, 'one of')}", at)
