"""Expressions to parameterised SQL, typed against the entities and names in scope.

Logic is two-valued: a comparison with null is false, `==` and `!=` treat null as a value. Texts,
numbers and everything that a caller gives are bound as parameters; only names that the checker has
admitted, and numbers and constants of the language, stand in the SQL itself. A step along a
reference is a correlated subquery by primary key.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from nexau.nearest import hint
from nexau.synth.worlds.expressions import (
    Aggregate,
    Binary,
    Call,
    Expr,
    ExpressionError,
    Field,
    In,
    IsNull,
    Literal,
    Name,
    Unary,
)
from nexau.synth.worlds.functions import FUNCTIONS, apply
from nexau.synth.worlds.kinds import (
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    NUMERIC,
    TEXT,
    Kind,
    Sql,
    is_date,
    is_datetime,
    words,
)

MAX_SQL = 50_000
"""Characters of one expression's SQL: some functions use an argument twice."""

SEPARATOR = "\x1f"
"""Stands around each item of a list that is bound as one text."""


class Shape(Struct, frozen=True):
    """What expressions have to know of an entity."""

    name: str
    key: str
    fields: Mapping[str, Kind]
    references: Mapping[str, tuple[str, str]]
    """`customer`: the field `customer_id` and the entity that it names."""


class Row(Struct, frozen=True):
    """A row in scope: one of a query, by its alias, or one that is bound, by its key."""

    entity: str
    alias: str = ""
    key: str = ""
    """SQL of the key."""
    null: bool = False
    """Whether there may be no such row."""


class Value(Struct, frozen=True):
    kind: Kind
    sql: str


class Scope(Struct, frozen=True):
    values: Mapping[str, Value] = {}
    """Parameters and `let`s."""
    rows: Mapping[str, Row] = {}
    grouped: bool = False
    """Whether `count()`, `sum(x)` and so on speak of the rows of a group."""
    fields_of: str = ""
    """The row whose fields may be named without it."""

    def with_row(self, name: str, row: Row) -> "Scope":
        return msgspec.structs.replace(self, rows={**self.rows, name: row})

    def with_value(self, name: str, value: Value) -> "Scope":
        return msgspec.structs.replace(self, values={**self.values, name: value})


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """An identifier. The checker admits lower-case words only; others are compiled too, to find
    what else is wrong."""
    return '"' + name.replace('"', '""') + '"'


class Compiler:
    """One statement: its literals are in `bindings`, and its row aliases are its own."""

    def __init__(
        self,
        entities: Mapping[str, Shape],
        today: str,
        *,
        inline: bool = False,
        closed: bool = False,
        compares: bool = False,
    ) -> None:
        """`inline` writes literals into the text, for a table's constraints, and `closed` keeps
        to one row's own fields; `compares` admits `before(...)`, and collects it.
        """
        self.entities = entities
        self.today = today[:10]
        self.now = today if len(today) > 10 else f"{today}T09:00"
        self.bindings: dict[str, Any] = {}
        self.used: set[tuple[str, str]] = set()
        """Entities and fields that its expressions look at."""
        self.befores: list[tuple[str, Sql, dict[str, Any]]] = []
        self._inline = inline
        self._closed = closed
        self._compares = compares
        self._aliases = 0

    def alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def bind(self, value: Any) -> str:
        """SQL that stands for `value`."""
        if self._inline:
            return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
        name = f"c_{len(self.bindings)}"
        self.bindings[name] = value
        return f":{name}"

    def condition(self, expr: Expr, scope: Scope) -> str:
        made = self.expr(expr, scope)
        if made.kind.name != "boolean":
            raise ExpressionError(
                f"expected a condition, got {words(made.kind)}; compare it with something", expr.at
            )
        return self.truth(made)

    @staticmethod
    def truth(made: Sql) -> str:
        return f"coalesce({made.text}, 0)" if made.kind.null else made.text

    def expr(self, expr: Expr, scope: Scope) -> Sql:
        """Raises `ExpressionError`."""
        made: Sql = getattr(self, _METHODS[type(expr)])(expr, scope)
        if len(made.text) > MAX_SQL:
            raise ExpressionError("the expression is too large", expr.at)
        return made

    def _literal(self, expr: Literal, _: Scope) -> Sql:
        value = expr.value
        if value is None:
            return Sql("NULL", NULL)
        if isinstance(value, bool):
            return Sql(str(int(value)), BOOLEAN)
        if isinstance(value, str):
            return Sql(self.bind(value), TEXT, value)
        return Sql(repr(value), INTEGER if isinstance(value, int) else NUMBER, value)

    def _name(self, expr: Name, scope: Scope) -> Sql:
        value = scope.values.get(expr.name)
        if value is not None:
            if value.kind.many:
                raise ExpressionError(f"{expr.name} is a list; use it after `in`", expr.at)
            return Sql(value.sql, value.kind)
        if scope.fields_of:
            row = scope.rows[scope.fields_of]
            if expr.name in self.entities[row.entity].fields:
                return self._column(row, expr.name)
        if expr.name in scope.rows:
            key = self.entities[scope.rows[expr.name].entity].key
            raise ExpressionError(
                f"{expr.name} is a row; name one of its fields, as {expr.name}.{key}", expr.at
            )
        own = self.entities[scope.rows[scope.fields_of].entity].fields if scope.fields_of else {}
        known = [*scope.values, *scope.rows, *own]
        mend = hint(expr.name, known, "there are")
        for row_name, row in scope.rows.items():
            if expr.name in self.entities[row.entity].fields:
                mend = f"; did you mean '{row_name}.{expr.name}'?"
        raise ExpressionError(f"nothing is called {expr.name!r} here{mend}", expr.at)

    def row(self, expr: Expr, scope: Scope) -> Row:
        """The row that a name, or a path along references, stands for."""
        if isinstance(expr, Name):
            found = scope.rows.get(expr.name)
            if found is not None:
                return found
            if scope.fields_of:
                row = scope.rows[scope.fields_of]
                if expr.name in self.entities[row.entity].references:
                    return self._follow(row, expr.name)
            raise ExpressionError(
                f"no row is called {expr.name!r} here{hint(expr.name, scope.rows, 'there are')}",
                expr.at,
            )
        if not isinstance(expr, Field):
            raise ExpressionError("only a row has fields", expr.at)
        row = self.row(expr.base, scope)
        shape = self.entities[row.entity]
        if expr.name not in shape.references:
            if expr.name in shape.fields:
                raise ExpressionError(f"{shape.name}.{expr.name} is no reference", expr.at)
            raise self._no_field(shape, expr)
        return self._follow(row, expr.name)

    def _follow(self, row: Row, reference: str) -> Row:
        if self._closed:
            raise ExpressionError("a constraint may use the fields of its own row only", 0)
        field, target = self.entities[row.entity].references[reference]
        column = self._column(row, field)
        return Row(target, key=column.text, null=column.kind.null)

    def _field(self, expr: Field, scope: Scope) -> Sql:
        row = self.row(expr.base, scope)
        shape = self.entities[row.entity]
        if expr.name not in shape.fields:
            if expr.name in shape.references:
                key = self.entities[shape.references[expr.name][1]].key
                raise ExpressionError(
                    f"{expr.name} is a row; name one of its fields, as {expr.name}.{key}", expr.at
                )
            raise self._no_field(shape, expr)
        return self._column(row, expr.name)

    @staticmethod
    def _no_field(shape: Shape, expr: Field) -> ExpressionError:
        known = [*shape.fields, *shape.references]
        return ExpressionError(
            f"{shape.name} has no field {expr.name!r}{hint(expr.name, known, 'it has')}", expr.at
        )

    def _column(self, row: Row, field: str) -> Sql:
        shape = self.entities[row.entity]
        kind = shape.fields[field]
        self.used.add((row.entity, field))
        if row.alias:
            return Sql(f"{row.alias}.{quoted(field)}", kind)
        if field == shape.key:
            return Sql(row.key, kind.maybe(row.null))
        alias = self.alias()
        where = f"{alias}.{quoted(shape.key)} = {row.key}"
        text = f"(SELECT {alias}.{quoted(field)} FROM {quoted(row.entity)} {alias} WHERE {where})"
        return Sql(text, kind.maybe(row.null))

    def _unary(self, expr: Unary, scope: Scope) -> Sql:
        if expr.sign == "not":
            return Sql(f"(NOT {self.condition(expr.operand, scope)})", BOOLEAN)
        made = self.expr(expr.operand, scope)
        self.need(made, NUMERIC, "a number", expr.at)
        return Sql(f"(- {made.text})", Kind(made.kind.name, made.kind.null))

    def need(self, made: Sql, names: tuple[str, ...], what: str, at: int) -> None:
        if made.kind.name not in (*names, "null"):
            raise ExpressionError(f"expected {what}, got {words(made.kind)}", at)

    def _is_null(self, expr: IsNull, scope: Scope) -> Sql:
        named = scope.values.get(expr.operand.name) if isinstance(expr.operand, Name) else None
        text = named.sql if named is not None else self.expr(expr.operand, scope).text
        return Sql(f"({text} IS {'NOT ' * expr.negated}NULL)", BOOLEAN)

    def _binary(self, expr: Binary, scope: Scope) -> Sql:
        if expr.sign in {"and", "or"}:
            left, right = (self.condition(each, scope) for each in (expr.left, expr.right))
            return Sql(f"({left} {expr.sign.upper()} {right})", BOOLEAN)
        if expr.sign in {"+", "-", "*", "/", "//", "%"}:
            return self._arithmetic(expr, scope)
        one, other = self.expr(expr.left, scope), self.expr(expr.right, scope)
        return self.compare(expr.sign, one, other, expr.at)

    def _arithmetic(self, expr: Binary, scope: Scope) -> Sql:
        left, right = self.expr(expr.left, scope), self.expr(expr.right, scope)
        a, b = left.kind.name, right.kind.name
        null = left.kind.null or right.kind.null
        sign = expr.sign
        if a in NUMERIC and b in NUMERIC:
            return self._numbers(sign, left, right, null, expr.at)
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
            f"`{sign}` cannot join {words(left.kind)} and {words(right.kind)}{mend}", expr.at
        )

    @staticmethod
    def _numbers(sign: str, left: Sql, right: Sql, null: bool, at: int) -> Sql:
        both = left.kind.name == right.kind.name == "integer"
        if sign == "/":
            return Sql(f"(CAST({left.text} AS REAL) / {right.text})", Kind("number", True))
        if sign in {"//", "%"}:
            if not both:
                raise ExpressionError(f"`{sign}` is for whole numbers", at)
            sign = {"//": "/", "%": "%"}[sign]
            return Sql(f"({left.text} {sign} {right.text})", Kind("integer", True))
        kind = Kind("integer" if both else "number", null)
        return Sql(f"({left.text} {sign} {right.text})", kind)

    def compare(self, sign: str, left: Sql, right: Sql, at: int) -> Sql:
        """`==` and its kin. Raises `ExpressionError` where the two are never alike."""
        left, right = self._as_moment(left, right, at), self._as_moment(right, left, at)
        a, b = left.kind.name, right.kind.name
        equality = sign in {"==", "!="}
        alike = a == b or (a in NUMERIC and b in NUMERIC) or (equality and "null" in {a, b})
        if not alike:
            raise ExpressionError(f"cannot compare {words(left.kind)} with {words(right.kind)}", at)
        self._known_value(left, right, at)
        self._known_value(right, left, at)
        null = left.kind.null or right.kind.null
        if equality:
            plain, safe = ("=", "IS") if sign == "==" else ("<>", "IS NOT")
            return Sql(f"({left.text} {safe if null else plain} {right.text})", BOOLEAN)
        if a == "boolean":
            raise ExpressionError(f"`{sign}` is not for true and false", at)
        text = f"({left.text} {sign} {right.text})"
        return Sql(f"coalesce({text}, 0)" if null else text, BOOLEAN)

    @staticmethod
    def _as_moment(made: Sql, other: Sql, at: int) -> Sql:
        """A literal text beside a date is one."""
        if isinstance(made.literal, str) and other.kind.name in {"date", "datetime"}:
            good = is_date if other.kind.name == "date" else is_datetime
            if not good(made.literal):
                form = "2026-03-02" if other.kind.name == "date" else "2026-03-02T09:30"
                raise ExpressionError(f"{made.literal!r} is not a {other.kind.name}, as {form}", at)
            return msgspec.structs.replace(made, kind=Kind(other.kind.name))
        return made

    @staticmethod
    def _known_value(made: Sql, other: Sql, at: int) -> None:
        literal, values = made.literal, other.kind.values
        if values and isinstance(literal, str) and literal not in values:
            mend = hint(literal, values, "one of")
            raise ExpressionError(f"it is never {literal!r}{mend}", at)

    def _in(self, expr: In, scope: Scope) -> Sql:
        operand = self.expr(expr.operand, scope)
        sign = "NOT IN" if expr.negated else "IN"
        if isinstance(expr.items, tuple):
            items = []
            for item in expr.items:
                made = self.expr(item, scope)
                self.compare("==", operand, made, item.at)
                items.append(self._as_moment(made, operand, item.at).text)
            text = f"({operand.text} {sign} ({', '.join(items)}))"
        else:
            value = scope.values.get(expr.items.name) if isinstance(expr.items, Name) else None
            if value is None or not value.kind.many:
                raise ExpressionError("`in` takes a list, as [1, 2], or a list parameter", expr.at)
            one = Sql("", Kind(value.kind.name, values=value.kind.values))
            self.compare("==", operand, one, expr.at)
            # No table-valued function: its constructor would need rights of its own.
            mark = self.bind(SEPARATOR)
            found = f"instr({value.sql}, {mark} || CAST({operand.text} AS TEXT) || {mark})"
            text = f"({found} {'=' if expr.negated else '>'} 0)"
        empty = 1 if expr.negated else 0
        sure = isinstance(expr.items, tuple) and not operand.kind.null
        return Sql(text if sure else f"coalesce({text}, {empty})", BOOLEAN)

    def _before(self, expr: Call) -> Sql:
        if len(expr.arguments) != 1:
            raise ExpressionError("before takes one expression", expr.at)
        inner = Compiler(self.entities, self.now)
        made = inner.expr(expr.arguments[0], Scope())
        name = f"b_{len(self.befores)}"
        self.befores.append((name, made, inner.bindings))
        return Sql(f":{name}", made.kind.maybe())

    def _call(self, expr: Call, scope: Scope) -> Sql:
        if expr.name == "before" and self._compares:
            return self._before(expr)
        found = FUNCTIONS.get(expr.name)
        if found is None:
            mend = hint(expr.name, [*FUNCTIONS, "count", "exists", "sum", "avg"], "there are")
            raise ExpressionError(f"no function {expr.name!r}{mend}", expr.at)
        arguments = [self.expr(each, scope) for each in expr.arguments]
        if expr.name in {"today", "now"}:
            arguments = [Sql(self.bind(self.today if expr.name == "today" else self.now), TEXT)]
        return apply(expr, found, arguments)

    def _aggregate(self, expr: Aggregate, scope: Scope) -> Sql:
        if expr.entity is None:
            if not scope.grouped:
                raise ExpressionError(
                    f"{expr.function}(...) needs `for ENTITY` outside of a query with `group`",
                    expr.at,
                )
            made = None if expr.value is None else self.expr(expr.value, scope)
            return self._folded(expr, made)
        if self._closed:
            raise ExpressionError("a constraint may use the fields of its own row only", expr.at)
        if expr.entity not in self.entities:
            mend = hint(expr.entity, self.entities, "there are")
            raise ExpressionError(f"no entity {expr.entity!r}{mend}", expr.at)
        self.used.add((expr.entity, self.entities[expr.entity].key))
        if expr.row in scope.rows:
            raise ExpressionError(
                f"{expr.row} is a row already; give these another name with `as`", expr.at
            )
        alias = self.alias()
        inner = msgspec.structs.replace(
            scope.with_row(expr.row, Row(expr.entity, alias)), grouped=False, fields_of=""
        )
        value = None if expr.value is None else self.expr(expr.value, inner)
        where = "" if expr.where is None else f" WHERE {self.condition(expr.where, inner)}"
        source = f"FROM {quoted(expr.entity)} {alias}{where}"
        if expr.function == "exists":
            return Sql(f"EXISTS (SELECT 1 {source})", BOOLEAN)
        folded = self._folded(expr, value)
        return Sql(f"(SELECT {folded.text} {source})", folded.kind)

    def _folded(self, expr: Aggregate, value: Sql | None) -> Sql:
        if value is None:
            if expr.function == "exists":
                raise ExpressionError("exists takes an entity", expr.at)
            return Sql("count(*)", INTEGER)
        if expr.function in {"sum", "avg"}:
            self.need(value, NUMERIC, "a number", expr.at)
        if expr.function == "sum":
            return Sql(f"coalesce(sum({value.text}), 0)", Kind(value.kind.name))
        if expr.function == "avg":
            return Sql(f"avg({value.text})", Kind("number", True))
        return Sql(f"{expr.function}({value.text})", value.kind.maybe())


_METHODS: dict[type[Expr], str] = {
    Literal: "_literal",
    Name: "_name",
    Field: "_field",
    Unary: "_unary",
    Binary: "_binary",
    IsNull: "_is_null",
    In: "_in",
    Call: "_call",
    Aggregate: "_aggregate",
}
