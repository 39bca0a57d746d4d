"""The functions of the expression language, as a table: what each takes, its SQL, what it gives."""

from msgspec import Struct

from nexau.synth.worlds.expressions import Call, ExpressionError
from nexau.synth.worlds.kinds import NUMERIC, Kind, Sql, words

_TEXTS = ("text",)
_DAYS = ("date", "datetime")
_ANY = ("text", "integer", "number", "boolean", "date", "datetime")


class Function(Struct, frozen=True):
    takes: tuple[tuple[str, ...], ...]
    """For each argument, the types it may have."""
    sql: str
    """`{0}` is the first argument."""
    gives: str
    """A type; `same` is that of the arguments, joined."""
    doc: str
    null: str = "any"
    """When it gives null: `any` argument is null, `all` are, `never`, `always` perhaps."""
    optional: int = 0
    """How many arguments may be left out, from the end."""
    more: bool = False
    """Whether the last one may stand several times."""


FUNCTIONS: dict[str, Function] = {
    "today": Function((), "{0}", "date", "the world's date"),
    "now": Function((), "{0}", "datetime", "the world's date and time"),
    "if": Function((("boolean",), _ANY, _ANY), "", "same", "`if(condition, then, else)`"),
    "coalesce": Function((_ANY, _ANY), "coalesce({all})", "same", "the first that is not null",
                         null="all", more=True),
    "min": Function((_ANY, _ANY), "min({all})", "same", "the smallest of its arguments", more=True),
    "max": Function((_ANY, _ANY), "max({all})", "same", "the largest of its arguments", more=True),
    "abs": Function((NUMERIC,), "abs({0})", "same", "without its sign"),
    "round": Function((NUMERIC, ("integer",)), "round({all})", "number",
                      "to so many digits, 0 without", optional=1),
    "floor": Function((NUMERIC,), "(CAST({0} AS INTEGER) - ({0} < CAST({0} AS INTEGER)))",
                      "integer", "down to a whole number"),
    "ceil": Function((NUMERIC,), "(CAST({0} AS INTEGER) + ({0} > CAST({0} AS INTEGER)))",
                     "integer", "up to a whole number"),
    "text": Function((_ANY,), "CAST({0} AS TEXT)", "text", "as a text"),
    "money": Function((NUMERIC,), "printf('%.2f', {0} / 100.0)", "text",
                      "hundredths as a text: 1250 is `12.50`"),
    "length": Function((_TEXTS,), "length({0})", "integer", "characters of a text"),
    "lower": Function((_TEXTS,), "lower({0})", "text", "A to Z in small letters"),
    "upper": Function((_TEXTS,), "upper({0})", "text", "a to z in capitals"),
    "trim": Function((_TEXTS,), "trim({0})", "text", "without spaces around it"),
    "contains": Function((_TEXTS, _TEXTS), "coalesce(instr(lower({0}), lower({1})) > 0, 0)",
                         "boolean", "whether the first holds the second; case does not count",
                         null="never"),
    "starts_with": Function((_TEXTS, _TEXTS),
                            "coalesce(substr(lower({0}), 1, length({1})) = lower({1}), 0)",
                            "boolean", "whether it begins so; case does not count", null="never"),
    "year": Function((_DAYS,), "CAST(substr({0}, 1, 4) AS INTEGER)", "integer", "of a date"),
    "month": Function((_DAYS,), "CAST(substr({0}, 6, 2) AS INTEGER)", "integer", "1 to 12"),
    "day": Function((_DAYS,), "CAST(substr({0}, 9, 2) AS INTEGER)", "integer", "of the month"),
    "weekday": Function((_DAYS,), "((CAST(strftime('%w', {0}) AS INTEGER) + 6) % 7 + 1)",
                        "integer", "1 is Monday, 7 is Sunday"),
    "hour": Function((("datetime",),), "CAST(substr({0}, 12, 2) AS INTEGER)", "integer", "0 to 23"),
    "minute": Function((("datetime",),), "CAST(substr({0}, 15, 2) AS INTEGER)", "integer",
                       "0 to 59"),
    "date": Function((("datetime",),), "substr({0}, 1, 10)", "date", "the date of a date and time"),
    "at": Function((("date",), ("integer",), ("integer",)),
                   "({0} || printf('T%02d:%02d', abs({1}) % 24, abs({2}) % 60))", "datetime",
                   "`at(date, hour, minute)`"),
}  # fmt: skip


def apply(expr: Call, function: Function, arguments: list[Sql]) -> Sql:
    """The call as SQL. Raises `ExpressionError` for arguments that do not fit."""
    if not function.takes:
        if expr.arguments:
            raise ExpressionError(f"{expr.name} takes no arguments", expr.at)
        return Sql(arguments[0].text, Kind(function.gives))
    _check(expr, function, arguments)
    kind = _result(expr, function, arguments)
    if expr.name == "if":
        condition = arguments[0]
        test = f"coalesce({condition.text}, 0)" if condition.kind.null else condition.text
        return Sql(
            f"(CASE WHEN {test} THEN {arguments[1].text} ELSE {arguments[2].text} END)", kind
        )
    texts = [each.text for each in arguments]
    made = function.sql.replace("{all}", ", ".join(texts))
    for index, text in enumerate(texts):
        made = made.replace(f"{{{index}}}", text)
    return Sql(made, kind)


def _check(expr: Call, function: Function, arguments: list[Sql]) -> None:
    most = None if function.more else len(function.takes)
    least = len(function.takes) - function.optional
    if len(arguments) < least or (most is not None and len(arguments) > most):
        wanted = f"{least}" if most == least else f"{least} or more" if most is None else (
            f"{least} to {most}")  # fmt: skip
        raise ExpressionError(
            f"{expr.name} takes {wanted} arguments, got {len(arguments)}", expr.at
        )
    for index, argument in enumerate(arguments):
        takes = function.takes[min(index, len(function.takes) - 1)]
        if argument.kind.name not in (*takes, "null"):
            wanted = " or ".join(words(Kind(name)) for name in takes)
            raise ExpressionError(
                f"{expr.name} takes {wanted}, got {words(argument.kind)}",
                expr.arguments[index].at,
            )


def _result(expr: Call, function: Function, arguments: list[Sql]) -> Kind:
    joined = arguments[1:] if expr.name == "if" else arguments
    nulls = [each.kind.null for each in joined]
    null = {"any": any(nulls), "all": all(nulls), "never": False, "always": True}[function.null]
    if function.gives != "same":
        return Kind(function.gives, null)
    names = {each.kind.name for each in joined if each.kind.name != "null"}
    if names <= set(NUMERIC):
        name = "number" if "number" in names else "integer"
    elif len(names) == 1:
        name = names.pop()
    elif not names:
        raise ExpressionError(f"{expr.name} of nothing but null", expr.at)
    elif len(names) == 2 and "text" in names and names & {"date", "datetime"}:
        name = (names - {"text"}).pop()
    else:
        listed = " and ".join(sorted(names))
        raise ExpressionError(f"the values of {expr.name} differ in type: {listed}", expr.at)
    entities = {each.kind.entity for each in joined}
    return Kind(name, null, entity=entities.pop() if len(entities) == 1 else "")
