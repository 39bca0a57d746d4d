"""The expression language of worlds: text to a tree (docs/worlds.md, "Expressions").

Total and bounded: no loops, no definitions, no recursion; an expression has at most
`MAX_LENGTH` characters and `MAX_DEPTH` levels.
"""

import re
from functools import lru_cache
from typing import Any, NoReturn

from msgspec import Struct

MAX_LENGTH = 4_000
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>==|!=|<=|>=|//|[-+*/%<>(),.\[\]])
    )""",
    re.VERBOSE | re.DOTALL,
)
_BRACES = re.compile(r"\{\{|\}\}|[{}]")
_INSIDE = re.compile(r"""((?:[^"'}]|"[^"]*"|'[^']*')*)\}""")
"""An expression up to its brace; braces inside its texts do not count."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t"}
KEYWORDS = frozenset(
    {"and", "or", "not", "in", "is", "null", "true", "false", "where", "for", "as"}
)
AGGREGATES = ("count", "exists", "sum", "min", "max", "avg")
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_RELATIONS = _COMPARISONS | {"is", "in", "not"}
_SUMS = frozenset({"+", "-"})
_PRODUCTS = frozenset({"*", "/", "//", "%"})
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


class ExpressionError(ValueError):
    """What is wrong with an expression; `at` is the place of the character, from 0."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class Expr(Struct, frozen=True, gc=False):
    at: int


class Literal(Expr, frozen=True, gc=False):
    value: str | int | float | bool | None


class Name(Expr, frozen=True, gc=False):
    name: str


class Field(Expr, frozen=True, gc=False):
    """`base.name`."""

    base: Expr
    name: str


class Unary(Expr, frozen=True, gc=False):
    sign: str
    operand: Expr


class Binary(Expr, frozen=True, gc=False):
    """Arithmetic, a comparison, `and`, `or`."""

    sign: str
    left: Expr
    right: Expr


class IsNull(Expr, frozen=True, gc=False):
    operand: Expr
    negated: bool


class In(Expr, frozen=True, gc=False):
    operand: Expr
    items: tuple[Expr, ...] | Expr
    """Several, or a parameter that is a list."""
    negated: bool


class Call(Expr, frozen=True, gc=False):
    name: str
    arguments: tuple[Expr, ...]


class Aggregate(Expr, frozen=True, gc=False):
    """`sum(VALUE for ENTITY as ROW where CONDITION)`; without `entity`, over a group's rows."""

    function: str
    value: Expr | None
    entity: str | None
    row: str
    where: Expr | None


@lru_cache(maxsize=1024)
def parse(text: str) -> Expr:
    """Raises `ExpressionError`. Trees are immutable, and the last ones are kept: what a world says
    is read when it is compiled, and again for its fingerprint.
    """
    return _Parser(text).whole()


def split_template(text: str) -> list[str | tuple[str, int]]:
    """The parts of `a {EXPR} b`: texts, and expressions with their place. `{{` is a literal `{`.

    Raises `ExpressionError`.
    """
    parts: list[str | tuple[str, int]] = []
    plain = ""
    at = 0
    while (found := _BRACES.search(text, at)) is not None:
        plain += text[at : found.start()]
        at = found.end()
        if found[0] in {"{{", "}}"}:
            plain += found[0][0]
            continue
        if found[0] == "}":
            raise ExpressionError("`}` without `{`; write `}}` for a literal one", found.start())
        inside = _INSIDE.match(text, at)
        if inside is None:
            raise ExpressionError("`{` without `}`; write `{{` for a literal one", found.start())
        parts += [plain] * bool(plain)
        parts.append((inside[1], at))
        plain, at = "", inside.end()
    plain += text[at:]
    return parts + [plain] * bool(plain)


class _Tokens:
    """Of one text: what each is (`number`, `text`, `name`, `sign`, `end`), its text and its place.

    The text alone tells a sign or a word from all others: literal texts keep their quotes, and the
    end is no word.
    """

    __slots__ = ("kinds", "places", "texts")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"longer than {MAX_LENGTH:,} characters", 0)
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.places: list[int] = []
        at, end = 0, len(text.rstrip())
        for match in _TOKEN.finditer(text):
            if match.start() != at:
                break
            kind = match.lastgroup or ""
            self.kinds.append(kind)
            self.texts.append(match[kind])
            self.places.append(match.start(kind))
            at = match.end()
        if at < end:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(_odd(text[place:]), place)
        self.kinds.append("end")
        self.texts.append("the end")
        self.places.append(end)


def _odd(rest: str) -> str:
    mends = {"=": "; did you mean `==`?", "&": "; write `and`", "|": "; write `or`",
             "!": "; write `not`", '"': ": a text that does not end",
             "'": ": a text that does not end"}  # fmt: skip
    return f"{rest[:1]!r} is not expected here{mends.get(rest[:1], '')}"


class _Parser:
    """Recursive descent by precedence."""

    __slots__ = ("_depth", "_index", "_kinds", "_places", "_texts")

    def __init__(self, text: str) -> None:
        tokens = _Tokens(text)
        self._kinds, self._texts, self._places = tokens.kinds, tokens.texts, tokens.places
        self._index = 0
        self._depth = 0

    def whole(self) -> Expr:
        if self._kinds[0] == "end":
            raise ExpressionError("an expression is expected", 0)
        expr = self._or()
        if self._kinds[self._index] != "end":
            self._fail("an operator or the end")
        return expr

    def _at(self) -> int:
        return self._places[self._index]

    def _take(self, text: str) -> bool:
        if self._texts[self._index] != text:
            return False
        self._index += 1
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            self._fail(f"`{text}`")

    def _fail(self, wanted: str) -> NoReturn:
        text = self._texts[self._index]
        found = text if self._kinds[self._index] == "end" else f"`{text}`"
        raise ExpressionError(f"expected {wanted}, got {found}", self._at())

    def _or(self) -> Expr:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", self._at())
        expr = self._and()
        while self._texts[self._index] == "or":
            at = self._at()
            self._index += 1
            expr = Binary(at, "or", expr, self._and())
        self._depth -= 1
        return expr

    def _and(self) -> Expr:
        expr = self._not()
        while self._texts[self._index] == "and":
            at = self._at()
            self._index += 1
            expr = Binary(at, "and", expr, self._not())
        return expr

    def _not(self) -> Expr:
        """An even number of `not` is none, an odd one is the last of them."""
        first = self._index
        while self._texts[self._index] == "not":
            self._index += 1
        count, at = self._index - first, self._places[self._index - 1]
        expr = self._comparison()
        return Unary(at, "not", expr) if count % 2 else expr

    def _comparison(self) -> Expr:
        left = self._sum()
        at, text = self._at(), self._texts[self._index]
        if text not in _RELATIONS:
            return left
        if text in _COMPARISONS:
            self._index += 1
            expr: Expr = Binary(at, text, left, self._sum())
        elif self._take("is"):
            negated = self._take("not")
            self._need("null")
            expr = IsNull(at, left, negated)
        elif self._take("in"):
            expr = In(at, left, self._items(), negated=False)
        elif self._texts[self._index + 1] == "in":
            self._index += 2
            expr = In(at, left, self._items(), negated=True)
        else:
            return left
        if self._texts[self._index] in _COMPARISONS:
            raise ExpressionError("comparisons do not chain; join them with `and`", self._at())
        return expr

    def _items(self) -> tuple[Expr, ...] | Expr:
        if not self._take("["):
            return self._path()
        items = [self._or()]
        while self._take(","):
            items.append(self._or())
        self._need("]")
        return tuple(items)

    def _sum(self) -> Expr:
        expr = self._product()
        while (sign := self._texts[self._index]) in _SUMS:
            at = self._at()
            self._index += 1
            expr = Binary(at, sign, expr, self._product())
        return expr

    def _product(self) -> Expr:
        expr = self._signed()
        while (sign := self._texts[self._index]) in _PRODUCTS:
            at = self._at()
            self._index += 1
            expr = Binary(at, sign, expr, self._signed())
        return expr

    def _signed(self) -> Expr:
        at = self._at()
        if self._take("-"):
            return Unary(at, "-", self._path())
        return self._path()

    def _path(self) -> Expr:
        """A value, and the fields that follow it."""
        expr = self._value()
        while self._texts[self._index] == ".":
            self._index += 1
            if self._kinds[self._index] != "name":
                self._fail("the name of a field")
            expr = Field(self._at(), expr, self._texts[self._index])
            self._index += 1
        return expr

    def _value(self) -> Expr:
        kind, text, at = self._kinds[self._index], self._texts[self._index], self._at()
        if kind == "name" and text not in KEYWORDS:
            self._index += 1
            if not self._take("("):
                return Name(at, text)
            return self._aggregate(at, text) if text in AGGREGATES else self._call(at, text, [])
        if self._take("("):
            expr = self._or()
            self._need(")")
            return expr
        if kind == "number":
            value: Any = _number(text, at)
        elif kind == "text":
            value = _text(text, at)
        elif kind == "name" and text in _CONSTANTS:
            value = _CONSTANTS[text]
        else:
            self._fail("a value")
        self._index += 1
        return Literal(at, value)

    def _call(self, at: int, name: str, arguments: list[Expr]) -> Expr:
        """From behind the opening parenthesis, or behind its first argument."""
        if not arguments and not self._take(")"):
            arguments.append(self._or())
        if arguments:
            while self._take(","):
                arguments.append(self._or())
            self._need(")")
        return Call(at, name, tuple(arguments))

    def _aggregate(self, at: int, name: str) -> Expr:
        if name in {"count", "exists"}:
            if self._take(")"):
                return Aggregate(at, name, None, None, "", None)
            return self._over(at, name, None)
        value = self._or()
        if self._take("for"):
            return self._over(at, name, value)
        if self._take(")"):
            return Aggregate(at, name, value, None, "", None)
        if name in {"min", "max"}:
            return self._call(at, name, [value])
        return self._fail("`for` and an entity, or `)`")

    def _over(self, at: int, name: str, value: Expr | None) -> Expr:
        entity = self._row_name("the name of an entity")
        row = self._row_name("a name for its rows") if self._take("as") else entity
        where = self._or() if self._take("where") else None
        self._need(")")
        return Aggregate(at, name, value, entity, row, where)

    def _row_name(self, what: str) -> str:
        text = self._texts[self._index]
        if self._kinds[self._index] != "name" or text in KEYWORDS:
            self._fail(what)
        self._index += 1
        return text


def _number(text: str, at: int) -> int | float:
    if "." in text:
        return float(text)
    if len(text) > 18:
        raise ExpressionError("the number does not fit into 64 bits", at)
    return int(text)


def _text(quoted: str, at: int) -> str:
    plain = quoted[1:-1]
    if "\\" in plain:
        plain = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), plain)
    if "\0" in plain:
        raise ExpressionError("a text cannot hold a null character", at)
    return plain
