"""Queries of world files to SQL."""

import msgspec

from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import Column, Select, Statement
from nexau.synth.worlds.context import Context, direction
from nexau.synth.worlds.kinds import Kind, Sql
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.scope import Row, Scope, Shape
from nexau.synth.worlds.sql import Compiler
from nexau.synth.worlds.structs import Query

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


def compile_query(context: Context, query: Query, scope: Scope, trail: Trail) -> Select | None:
    """None, and a complaint, where it names no entity."""
    shape = context.entities.get(query.find)
    if shape is None:
        if query.find:
            mend = hint(query.find, context.entities, "there are")
            context.wrong((*trail, "find"), f"no entity {query.find!r}{mend}")
        return None
    return _Query(context, query, shape, scope, trail).compile()


class _Query:
    def __init__(
        self, context: Context, query: Query, shape: Shape, scope: Scope, trail: Trail
    ) -> None:
        self._context = context
        self._query = query
        self._shape = shape
        self._trail = trail
        self._compiler: Compiler = context.compiler()
        self._row = Row(shape.name, self._compiler.alias())
        self._name = query.named or shape.name
        taken = self._name in scope.rows
        if taken:
            context.wrong(
                trail, f"{self._name} is a row already; give these another name with `named`"
            )
        self._scope = scope.with_row(self._name, self._row)

    def compile(self) -> Select:
        query = self._query
        where = self._where()
        columns: list[tuple[str, Sql]] = self._grouping()
        groups = len(columns)
        columns += self._selected()
        order = self._order(columns, groups)
        group = f" GROUP BY {', '.join(str(i + 1) for i in range(groups))}" if groups else ""
        source = f" FROM {quoted(self._shape.name)} {self._row.alias}{where}"
        selected = ", ".join(sql.text for _, sql in columns)
        text = f"SELECT {selected}{source}{group} ORDER BY {order} LIMIT :limit OFFSET :offset"
        # Its own columns, so that whatever GROUP BY names by number is there.
        inner = f"SELECT {selected if groups else '1'}{source}{group}"
        bindings = self._compiler.bindings
        return Select(
            Statement(text, bindings),
            Statement(f"SELECT count(*) FROM ({inner})", bindings),
            tuple(Column(name, sql.kind) for name, sql in columns),
            query.page or query.limit or DEFAULT_LIMIT,
            query.page is not None,
            self._shape.name,
            frozenset(self._compiler.used | {(self._shape.name, self._shape.key)}),
        )

    def _where(self) -> str:
        if self._query.where is None:
            return ""
        made = self._context.expr(
            self._compiler, self._query.where, self._scope, (*self._trail, "where"), condition=True
        )
        return f" WHERE {made.text}" if made is not None else ""

    def _grouping(self) -> list[tuple[str, Sql]]:
        made: list[tuple[str, Sql]] = []
        for name, text in self._query.group.items():
            sql = self._context.expr(
                self._compiler, text, self._scope, (*self._trail, "group", name)
            )
            made.append((name, sql or _MISSING))
        return made

    def _selected(self) -> list[tuple[str, Sql]]:
        chosen = self._query.select
        if isinstance(chosen, dict):
            return self._named_columns(chosen)
        if not chosen and self._query.group:
            return []
        made: list[tuple[str, Sql]] = []
        names = chosen or list(self._shape.fields)
        own = Scope(rows={self._name: self._row}, fields_of=self._name)
        for index, text in enumerate(names):
            place = (*self._trail, "select", index)
            if self._query.group:
                message = "beside `group`, `select` is a mapping of names and expressions"
                self._context.wrong(place, message)
                break
            sql = self._context.expr(self._compiler, text, own, place)
            made.append((text.replace(".", "_").strip(), sql or _MISSING))
        return made

    def _named_columns(self, chosen: dict[str, str]) -> list[tuple[str, Sql]]:
        scope = msgspec.structs.replace(self._scope, grouped=bool(self._query.group))
        made: list[tuple[str, Sql]] = []
        for name, text in chosen.items():
            place = (*self._trail, "select", name)
            if not name.replace("_", "a").isalnum():
                self._context.wrong(place, "a name has a-z, 0-9 and _")
            if name in self._query.group:
                self._context.wrong(place, f"{name} stands in `group` already")
            sql = self._context.expr(self._compiler, text, scope, place)
            made.append((name, sql or _MISSING))
        return made

    def _order(self, columns: list[tuple[str, Sql]], groups: int) -> str:
        """By number where it is a column; and always to the last tie."""
        numbers = {name: str(index + 1) for index, (name, _) in enumerate(columns)}
        parts: list[str] = []
        scope = msgspec.structs.replace(self._scope, fields_of=self._name, values={})
        for index, text in enumerate(self._query.order):
            expression, way = direction(text)
            if expression in numbers:
                parts.append(f"{numbers[expression]} {way}")
                continue
            place = (*self._trail, "order", index)
            if groups:
                mend = hint(expression, numbers, "there are")
                self._context.wrong(place, f"no column {expression!r}{mend}")
                continue
            sql = self._context.expr(self._compiler, expression, scope, place)
            parts.append(f"{(sql or _MISSING).text} {way}")
        if groups:
            parts += [str(index + 1) for index in range(groups)]
        else:
            parts.append(f"{self._row.alias}.{quoted(self._shape.key)}")
        return ", ".join(parts)


_MISSING = Sql("NULL", Kind("text", null=True))
