"""Expressions to parameterised SQL, typed against the entities and names in scope.

Texts, numbers and everything that a caller gives are bound as parameters; only names that the
checker has admitted, and numbers and constants of the language, stand in the SQL itself. A step
along a reference is a correlated subquery by primary key.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from nexau.files.nearest import hint
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
    words,
)
from nexau.synth.worlds.operators import ARITHMETIC, as_moment, compare, compute, need
from nexau.synth.worlds.quoting import literal, quoted
from nexau.synth.worlds.scope import Row, Scope, Shape

MAX_SQL = 50_000
"""Characters of one expression's SQL: some functions use an argument twice."""

SEPARATOR = "\x1f"
"""Stands around each item of a list that is bound as one text."""


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
            return literal(value)
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
        need(made, NUMERIC, "a number", expr.at)
        return Sql(f"(- {made.text})", Kind(made.kind.name, made.kind.null))

    def _is_null(self, expr: IsNull, scope: Scope) -> Sql:
        named = scope.values.get(expr.operand.name) if isinstance(expr.operand, Name) else None
        text = named.sql if named is not None else self.expr(expr.operand, scope).text
        return Sql(f"({text} IS {'NOT ' * expr.negated}NULL)", BOOLEAN)

    def _binary(self, expr: Binary, scope: Scope) -> Sql:
        if expr.sign in {"and", "or"}:
            left, right = (self.condition(each, scope) for each in (expr.left, expr.right))
            return Sql(f"({left} {expr.sign.upper()} {right})", BOOLEAN)
        one, other = self.expr(expr.left, scope), self.expr(expr.right, scope)
        join = compute if expr.sign in ARITHMETIC else compare
        return join(expr.sign, one, other, expr.at)

    def _in(self, expr: In, scope: Scope) -> Sql:
        operand = self.expr(expr.operand, scope)
        sign = "NOT IN" if expr.negated else "IN"
        if isinstance(expr.items, tuple):
            items = []
            for item in expr.items:
                made = self.expr(item, scope)
                compare("==", operand, made, item.at)
                items.append(as_moment(made, operand, item.at).text)
            text = f"({operand.text} {sign} ({', '.join(items)}))"
        else:
            value = scope.values.get(expr.items.name) if isinstance(expr.items, Name) else None
            if value is None or not value.kind.many:
                raise ExpressionError("`in` takes a list, as [1, 2], or a list parameter", expr.at)
            one = Sql("", Kind(value.kind.name, values=value.kind.values))
            compare("==", operand, one, expr.at)
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
            need(value, NUMERIC, "a number", expr.at)
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
