"""Where the parts of a world are compiled: entities, the clock, and a place for complaints."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from nexau.files.forms import Complain
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import Statement, Template
from nexau.synth.worlds.expressions import ExpressionError, Literal, parse, split_template
from nexau.synth.worlds.kinds import NUMERIC, Kind, Sql, is_date, is_datetime, words
from nexau.synth.worlds.scope import Scope, Shape
from nexau.synth.worlds.sql import Compiler

_DIRECTION = re.compile(r"(.*\S)\s+(asc|desc)\s*", re.DOTALL)


class Context(Struct, frozen=True):
    entities: Mapping[str, Shape]
    today: str
    complain: Complain

    def compiler(self) -> Compiler:
        return Compiler(self.entities, self.today)

    def wrong(self, trail: Trail, message: str) -> None:
        self.complain(trail, message, None)

    def expr(
        self,
        compiler: Compiler,
        text: Any,
        scope: Scope,
        trail: Trail,
        *,
        condition: bool = False,
    ) -> Sql | None:
        """None, and a complaint, for what is no expression."""
        if text is None or isinstance(text, bool | int | float):
            return compiler.expr(Literal(0, text), scope)
        if not isinstance(text, str):  # reported already
            return None
        try:
            parsed = parse(text)
            if condition:
                made = compiler.condition(parsed, scope)
                return Sql(made, Kind("boolean"))
            return compiler.expr(parsed, scope)
        except ExpressionError as error:
            self.wrong(trail, f"{error.message} (character {error.at + 1})")
            return None

    def value(
        self, compiler: Compiler, text: Any, scope: Scope, kind: Kind, trail: Trail
    ) -> Sql | None:
        """An expression that becomes a value of `kind`."""
        made = self.expr(compiler, text, scope, trail)
        if made is not None and (fault := misfit(made, kind)):
            self.wrong(trail, fault)
            return None
        return made

    def template(self, text: str, scope: Scope, trail: Trail) -> Template:
        compiler = self.compiler()
        parts: list[str | int] = []
        columns: list[Sql] = []
        try:
            pieces = split_template(text)
        except ExpressionError as error:
            self.wrong(trail, f"{error.message} (character {error.at + 1})")
            pieces = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            made = self.expr(compiler, piece[0], scope, trail)
            if made is not None:
                parts.append(len(columns))
                columns.append(made)
        if not columns:
            return Template(tuple(parts), None)
        sql = f"SELECT {', '.join(each.text for each in columns)}"
        kinds = tuple(each.kind for each in columns)
        return Template(tuple(parts), Statement(sql, compiler.bindings), kinds)


def direction(text: str) -> tuple[str, str]:
    """`placed_on desc` as the expression and DESC or ASC."""
    found = _DIRECTION.fullmatch(text)
    return (found[1], found[2].upper()) if found else (text, "ASC")


def misfit(made: Sql, kind: Kind) -> str | None:
    """Why a value does not go into a field of `kind`."""
    name, literal = made.kind.name, made.literal
    if name == "null":
        return None if kind.null else "the field is never null"
    if isinstance(literal, str) and kind.name in {"date", "datetime"}:
        good = is_date(literal) if kind.name == "date" else is_datetime(literal)
        return None if good else f"{literal!r} is not a {kind.name}"
    if name != kind.name and not (name in NUMERIC and kind.name == "number"):
        return f"expected {words(kind)}, got {words(made.kind)}"
    if not kind.values:
        return None
    possible = (literal,) if isinstance(literal, str) else made.kind.values
    strange = [each for each in possible if each not in kind.values]
    if strange:
        return f"it is never {strange[0]!r}; one of: {', '.join(kind.values)}"
    return None
