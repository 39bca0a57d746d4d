"""The expression language of worlds: text to a tree (docs/worlds.md, "Expressions").

Total and bounded: no loops, no definitions, no recursion; an expression has at most
`MAX_LENGTH` characters and `MAX_DEPTH` levels.
"""

import re
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
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t"}
KEYWORDS = frozenset(
    {"and", "or", "not", "in", "is", "null", "true", "false", "where", "for", "as"}
)
AGGREGATES = ("count", "exists", "sum", "min", "max", "avg")
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


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


class Token(Struct, frozen=True, gc=False):
    kind: str
    text: str
    at: int


def parse(text: str) -> Expr:
    """Raises `ExpressionError`."""
    return _Parser(text).whole()


def split_template(text: str) -> list[str | tuple[str, int]]:
    """The parts of `a {EXPR} b`: texts, and expressions with their place. `{{` is a literal `{`.

    Raises `ExpressionError`.
    """
    parts: list[str | tuple[str, int]] = []
    plain: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if text[at : at + 2] in {"{{", "}}"}:
            plain.append(char)
            at += 2
        elif char == "{":
            end = _closing(text, at + 1)
            if plain:
                parts.append("".join(plain))
                plain = []
            parts.append((text[at + 1 : end], at + 1))
            at = end + 1
        elif char == "}":
            raise ExpressionError("`}` without `{`; write `}}` for a literal one", at)
        else:
            plain.append(char)
            at += 1
    return [*parts, "".join(plain)] if plain else parts


def _closing(text: str, at: int) -> int:
    """Where the expression that begins at `at` ends; braces inside its texts do not count."""
    quote = ""
    for place in range(at, len(text)):
        char = text[place]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "}":
            return place
    raise ExpressionError("`{` without `}`; write `{{` for a literal one", at - 1)


def _tokens(text: str) -> list[Token]:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH:,} characters", 0)
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(_odd(text[place:]), place)
        kind = match.lastgroup or ""
        tokens.append(Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*tokens, Token("end", "the end", end)]


def _odd(rest: str) -> str:
    mends = {"=": "; did you mean `==`?", "&": "; write `and`", "|": "; write `or`",
             "!": "; write `not`", '"': ": a text that does not end",
             "'": ": a text that does not end"}  # fmt: skip
    return f"{rest[:1]!r} is not expected here{mends.get(rest[:1], '')}"


class _Parser:
    """Recursive descent, one method for each level of precedence."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._index = 0
        self._depth = 0

    def whole(self) -> Expr:
        if self._token.kind == "end":
            raise ExpressionError("an expression is expected", 0)
        expr = self._or()
        if self._token.kind != "end":
            self._fail("an operator or the end")
        return expr

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        token = self._tokens[self._index]
        self._index += 1
        return token

    def _take(self, *texts: str) -> Token | None:
        token = self._token
        if token.kind in {"sign", "name"} and token.text in texts:
            return self._next()
        return None

    def _need(self, text: str) -> Token:
        return self._take(text) or self._fail(f"`{text}`")

    def _fail(self, wanted: str) -> NoReturn:
        token = self._token
        found = token.text if token.kind == "end" else f"`{token.text}`"
        raise ExpressionError(f"expected {wanted}, got {found}", token.at)

    def _or(self) -> Expr:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", self._token.at)
        expr = self._and()
        while token := self._take("or"):
            expr = Binary(token.at, "or", expr, self._and())
        self._depth -= 1
        return expr

    def _and(self) -> Expr:
        expr = self._not()
        while token := self._take("and"):
            expr = Binary(token.at, "and", expr, self._not())
        return expr

    def _not(self) -> Expr:
        signs: list[Token] = []
        while token := self._take("not"):
            signs.append(token)
        expr = self._comparison()
        for token in reversed(signs[-(len(signs) % 2) :] if len(signs) % 2 else []):
            expr = Unary(token.at, "not", expr)
        return expr

    def _comparison(self) -> Expr:
        left = self._sum()
        token = self._token
        if self._take(*_COMPARISONS):
            expr: Expr = Binary(token.at, token.text, left, self._sum())
        elif self._take("is"):
            negated = self._take("not") is not None
            self._need("null")
            expr = IsNull(token.at, left, negated)
        elif self._take("in"):
            expr = In(token.at, left, self._items(), negated=False)
        elif token.text == "not" and self._tokens[self._index + 1].text == "in":
            self._index += 2
            expr = In(token.at, left, self._items(), negated=True)
        else:
            return left
        if self._token.text in _COMPARISONS:
            raise ExpressionError("comparisons do not chain; join them with `and`", self._token.at)
        return expr

    def _items(self) -> tuple[Expr, ...] | Expr:
        if not self._take("["):
            return self._postfix()
        items = [self._or()]
        while self._take(","):
            items.append(self._or())
        self._need("]")
        return tuple(items)

    def _sum(self) -> Expr:
        expr = self._product()
        while token := self._take("+", "-"):
            expr = Binary(token.at, token.text, expr, self._product())
        return expr

    def _product(self) -> Expr:
        expr = self._signed()
        while token := self._take("*", "/", "//", "%"):
            expr = Binary(token.at, token.text, expr, self._signed())
        return expr

    def _signed(self) -> Expr:
        if token := self._take("-"):
            return Unary(token.at, "-", self._postfix())
        return self._postfix()

    def _postfix(self) -> Expr:
        expr = self._primary()
        while self._take("."):
            token = self._token
            if token.kind != "name":
                self._fail("the name of a field")
            self._next()
            expr = Field(token.at, expr, token.text)
        return expr

    def _primary(self) -> Expr:
        token = self._token
        if token.kind == "number":
            self._next()
            return Literal(token.at, _number(token))
        if token.kind == "text":
            self._next()
            plain = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), token.text[1:-1])
            if "\0" in plain:
                raise ExpressionError("a text cannot hold a null character", token.at)
            return Literal(token.at, plain)
        if self._take("("):
            expr = self._or()
            self._need(")")
            return expr
        constants: dict[str, Any] = {"true": True, "false": False, "null": None}
        if token.kind == "name" and token.text in constants:
            self._next()
            return Literal(token.at, constants[token.text])
        if token.kind != "name" or token.text in KEYWORDS:
            self._fail("a value")
        self._next()
        if not self._take("("):
            return Name(token.at, token.text)
        return self._aggregate(token) if token.text in AGGREGATES else self._call(token, [])

    def _call(self, name: Token, arguments: list[Expr]) -> Expr:
        """From behind the opening parenthesis, or behind its first argument."""
        if not arguments and not self._take(")"):
            arguments.append(self._or())
        if arguments:
            while self._take(","):
                arguments.append(self._or())
            self._need(")")
        return Call(name.at, name.text, tuple(arguments))

    def _aggregate(self, name: Token) -> Expr:
        if name.text in {"count", "exists"}:
            if self._take(")"):
                return Aggregate(name.at, name.text, None, None, "", None)
            return self._over(name, None)
        value = self._or()
        if self._take("for"):
            return self._over(name, value)
        if self._token.text == ")" and name.text != "exists":
            self._next()
            return Aggregate(name.at, name.text, value, None, "", None)
        if name.text in {"min", "max"}:
            return self._call(name, [value])
        return self._fail("`for` and an entity, or `)`")

    def _over(self, name: Token, value: Expr | None) -> Expr:
        entity = self._row_name("the name of an entity")
        row = self._row_name("a name for its rows") if self._take("as") else entity
        where = self._or() if self._take("where") else None
        self._need(")")
        return Aggregate(name.at, name.text, value, entity, row, where)

    def _row_name(self, what: str) -> str:
        token = self._token
        if token.kind != "name" or token.text in KEYWORDS:
            self._fail(what)
        return self._next().text


def _number(token: Token) -> int | float:
    if "." in token.text:
        return float(token.text)
    if len(token.text) > 18:
        raise ExpressionError("the number does not fit into 64 bits", token.at)
    return int(token.text)
