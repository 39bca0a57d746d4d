"""Effects of tools to statements."""

from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import EffectStep, Statement
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.kinds import Sql
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.scope import Row, Scope, Shape
from nexau.synth.worlds.sql import Compiler
from nexau.synth.worlds.structs import Effect, EntityForm


def sequenced(form: EntityForm) -> bool:
    """Whether inserts get their key from a sequence."""
    key = form.fields.get(form.key)
    make = key.make if key is not None else None
    return make is not None and not isinstance(make, str) and make.sequence is not None


class Effects:
    """The effects of one tool; `scope` grows by the rows that they insert."""

    def __init__(
        self, context: Context, forms: dict[str, EntityForm], scope: Scope, trail: Trail
    ) -> None:
        self._context = context
        self._forms = forms
        self.scope = scope
        self._trail = trail

    def compile(self, effect: Effect, index: int) -> EffectStep | None:
        trail = (*self._trail, index)
        kinds = [key for key in ("insert", "update", "delete") if getattr(effect, key) is not None]
        if len(kinds) != 1:
            self._context.wrong(trail, "expected one of `insert`, `update` and `delete`")
            return None
        when = self._when(effect, trail)
        compiler = self._context.compiler()
        if effect.insert is not None:
            return self._insert(effect, effect.insert, when, compiler, trail)
        return self._change(effect, kinds[0], when, compiler, trail)

    def _when(self, effect: Effect, trail: Trail) -> Statement | None:
        if effect.when is None:
            return None
        compiler = self._context.compiler()
        made = self._context.expr(
            compiler, effect.when, self.scope, (*trail, "when"), condition=True
        )
        return None if made is None else Statement(f"SELECT {made.text}", compiler.bindings)

    def _shape(self, name: str, trail: Trail) -> Shape | None:
        shape = self._context.entities.get(name)
        if shape is None:
            mend = hint(name, self._context.entities, "there are")
            self._context.wrong(trail, f"no entity {name!r}{mend}")
        return shape

    def _set(
        self, effect: Effect, shape: Shape, scope: Scope, compiler: Compiler, trail: Trail
    ) -> dict[str, Sql]:
        made: dict[str, Sql] = {}
        for field, text in effect.set.items():
            place = (*trail, "set", field)
            kind = shape.fields.get(field)
            if kind is None:
                mend = hint(field, shape.fields, "it has")
                self._context.wrong(place, f"{shape.name} has no field {field!r}{mend}")
                continue
            sql = self._context.value(compiler, text, scope, kind, place)
            if sql is not None:
                made[field] = sql
        return made

    def _insert(
        self,
        effect: Effect,
        entity: str,
        when: Statement | None,
        compiler: Compiler,
        trail: Trail,
    ) -> EffectStep | None:
        shape = self._shape(entity, (*trail, "insert"))
        if shape is None:
            return None
        if effect.each is not None:
            return self._insert_each(effect, shape, when, compiler, trail)
        if effect.where is not None:
            self._context.wrong((*trail, "where"), "an insert takes `where` beside `each` only")
        values = self._set(effect, shape, self.scope, compiler, trail)
        counter = self._complete(effect, shape, trail)
        if not values and not counter:
            self._context.wrong(trail, "an insert sets something")
        columns = [quoted(field) for field in values]
        texts = [sql.text for sql in values.values()]
        if counter:
            columns.append(quoted(shape.key))
            texts.append(":k")
        text = (
            f"INSERT INTO {quoted(entity)} ({', '.join(columns)}) VALUES ({', '.join(texts)}) "
            f"RETURNING {quoted(shape.key)}"
        )
        named = effect.named or entity
        if named in self.scope.rows:
            if effect.named is not None:
                self._context.wrong((*trail, "named"), f"{named} is a row already")
            named = ""
        else:
            row = Row(entity, key=f":n_{named}", null=when is not None)
            self.scope = self.scope.with_row(named, row)
        return EffectStep(
            "insert",
            entity,
            Statement(text, compiler.bindings),
            when,
            counter,
            named=named,
            fields=tuple(shape.fields),
        )

    def _insert_each(
        self,
        effect: Effect,
        shape: Shape,
        when: Statement | None,
        compiler: Compiler,
        trail: Trail,
    ) -> EffectStep | None:
        assert effect.each is not None
        source = self._shape(effect.each, (*trail, "each"))
        if source is None:
            return None
        alias, scope, where = self._rows(effect, source, compiler, trail)
        values = self._set(effect, shape, scope, compiler, trail)
        counter = self._complete(effect, shape, trail)
        columns = [quoted(field) for field in values]
        texts = [f":v_{index}" for index in range(len(values))]
        if counter:
            columns.append(quoted(shape.key))
            texts.append(":k")
        selected = ", ".join(sql.text for sql in values.values()) or "1"
        order = f"ORDER BY {alias}.{quoted(source.key)}"
        return EffectStep(
            "insert_each",
            shape.name,
            Statement(
                f"INSERT INTO {quoted(shape.name)} ({', '.join(columns)}) "
                f"VALUES ({', '.join(texts)})",
                {},
            ),
            when,
            counter,
            source=Statement(
                f"SELECT {selected} FROM {quoted(source.name)} {alias}{where} {order}",
                compiler.bindings,
            ),
            fields=tuple(shape.fields),
        )

    def _complete(self, effect: Effect, shape: Shape, trail: Trail) -> bool:
        """Complains of fields that an insert leaves open; whether the key is a sequence's."""
        form = self._forms[shape.name]
        counter = sequenced(form)
        if counter and shape.key in effect.set:
            self._context.wrong((*trail, "set", shape.key), "the key is made by its sequence")
        for field, kind in shape.fields.items():
            given = field in effect.set or kind.null or (counter and field == shape.key)
            if not given and form.fields[field].default is None:
                message = f"{shape.name}.{field} is never null and has no default: set it"
                self._context.wrong((*trail, "set"), message)
        return counter

    def _rows(
        self, effect: Effect, shape: Shape, compiler: Compiler, trail: Trail
    ) -> tuple[str, Scope, str]:
        """The alias of the rows of `where`, what is in scope for each, and the SQL of `where`."""
        alias = compiler.alias()
        named = effect.named or shape.name
        if named in self.scope.rows:
            self._context.wrong(
                trail, f"{named} is a row already; give these another name with `named`"
            )
        scope = self.scope.with_row(named, Row(shape.name, alias))
        if effect.where is None:
            return alias, scope, ""
        made = self._context.expr(compiler, effect.where, scope, (*trail, "where"), condition=True)
        return alias, scope, f" WHERE {made.text}" if made is not None else " WHERE 0"

    def _change(
        self,
        effect: Effect,
        kind: str,
        when: Statement | None,
        compiler: Compiler,
        trail: Trail,
    ) -> EffectStep | None:
        name = getattr(effect, kind)
        if effect.each is not None:
            self._context.wrong((*trail, "each"), "`each` is for inserts")
        if effect.where is None:
            row = self.scope.rows.get(name)
            if row is None:
                mend = hint(name, self.scope.rows, "there are")
                what = " (for rows of an entity, give `where`)" * (name in self._context.entities)
                self._context.wrong((*trail, kind), f"no row {name!r} is in scope{what}{mend}")
                return None
            shape = self._context.entities[row.entity]
            alias = compiler.alias()
            scope, where = self.scope, f" WHERE {alias}.{quoted(shape.key)} = {row.key}"
        else:
            found = self._shape(name, (*trail, kind))
            if found is None:
                return None
            shape = found
            alias, scope, where = self._rows(effect, shape, compiler, trail)
        values = self._set(effect, shape, scope, compiler, trail)
        if shape.key in values:
            self._context.wrong((*trail, "set", shape.key), "a key never changes")
        if kind == "update" and not effect.set:
            self._context.wrong(trail, "an update sets something")
        if kind == "delete" and effect.set:
            self._context.wrong((*trail, "set"), "a delete sets nothing")
        table = f"{quoted(shape.name)} AS {alias}"
        if kind == "update":
            assigned = ", ".join(f"{quoted(f)} = {sql.text}" for f, sql in values.items())
            text = f"UPDATE {table} SET {assigned}{where}"
        else:
            text = f"DELETE FROM {table}{where}"
        fields = tuple(values) if kind == "update" else tuple(shape.fields)
        return EffectStep(kind, shape.name, Statement(text, compiler.bindings), when, fields=fields)
