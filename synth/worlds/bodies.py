"""What tools, resources and prompts do, compiled: parameters, `let`, rules, effects, result."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from nexau.files.forms import INVALID
from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.synth.worlds.compiled import (
    Body,
    Column,
    EffectStep,
    Output,
    Parameter,
    RuleStep,
    Select,
    Statement,
)
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.effects import Effects
from nexau.synth.worlds.kinds import INTEGER, Kind
from nexau.synth.worlds.parameters import compile_parameters
from nexau.synth.worlds.queries import compile_query
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.scope import Row, Scope, Value
from nexau.synth.worlds.structs import (
    Effect,
    EntityForm,
    ParameterForm,
    PromptForm,
    Query,
    ResourceForm,
    Rule,
    ToolForm,
)

_PAGE_LIMIT = "How many rows to give."
_PAGE_OFFSET = "How many rows to pass over."


class Made(Struct, frozen=True):
    """A body, and the names that are in scope for texts after it."""

    body: Body
    scope: Scope


def compile_tool(
    context: Context, forms: dict[str, EntityForm], tool: ToolForm, trail: Trail
) -> Made:
    parameters, scope = compile_parameters(
        context, _with_page(context, tool, trail), (*trail, "parameters")
    )
    lets, scope = _lets(context, tool.let, scope, trail)
    rules, steps = _rules(context, tool.rules, scope, trail)
    effects = Effects(context, forms, scope, (*trail, "effects"))
    compiled: list[EffectStep] = []
    for index, effect in enumerate(tool.effects):
        step = effects.compile(effect, index) if isinstance(effect, Effect) else None
        if step is not None:
            compiled.append(step)
    output = _output(context, tool, effects.scope, trail)
    if output == Output() and not tool.effects:
        context.wrong(trail, "a tool has effects, or a result: `row`, `find` or `result`")
    body = _body(context, parameters, lets, rules, steps, tuple(compiled), output)
    return Made(body, effects.scope)


def compile_reading(context: Context, form: ResourceForm | PromptForm, trail: Trail) -> Made:
    """Of a resource or a prompt: parameters and what is read."""
    parameters, scope = compile_parameters(context, form.parameters, (*trail, "parameters"))
    output = _output(context, form, scope, trail) if isinstance(form, ResourceForm) else Output()
    return Made(_body(context, parameters, (), None, (), (), output), scope)


def _body(
    context: Context,
    parameters: dict[str, Parameter],
    lets: tuple[tuple[str, Statement], ...],
    rules: Statement | None,
    steps: tuple[RuleStep, ...],
    effects: tuple[EffectStep, ...],
    output: Output,
) -> Body:
    references = tuple(
        (name, each.kind.entity)
        for name, each in parameters.items()
        if each.kind.entity and not each.kind.many
    )
    exists = None
    if references:
        tests = []
        for name, entity in references:
            key = quoted(context.entities[entity].key)
            found = f"EXISTS (SELECT 1 FROM {quoted(entity)} WHERE {key} = :p_{name})"
            tests.append(f":p_{name} IS NULL OR {found}" if parameters[name].kind.null else found)
        exists = Statement(f"SELECT {', '.join(tests)}", {})
    return Body(parameters, exists, references, lets, rules, steps, effects, output)


def _with_page(context: Context, tool: ToolForm, trail: Trail) -> Mapping[str, ParameterForm]:
    if tool.find is None or tool.find is INVALID or tool.find.page is None:
        return tool.parameters
    made = dict(tool.parameters)
    for name, form in (
        ("limit", ParameterForm(type="integer", min=1, max=100, default=tool.find.page,
                                description=_PAGE_LIMIT)),
        ("offset", ParameterForm(type="integer", min=0, max=1_000_000, default=0,
                                 description=_PAGE_OFFSET)),
    ):  # fmt: skip
        if name in made:
            context.wrong((*trail, "parameters", name), "`page` brings this parameter itself")
        made[name] = form
    return made


def _lets(
    context: Context, forms: Mapping[str, Any], scope: Scope, trail: Trail
) -> tuple[tuple[tuple[str, Statement], ...], Scope]:
    made: list[tuple[str, Statement]] = []
    for name, text in forms.items():
        place = (*trail, "let", name)
        if name in scope.values:
            context.wrong(place, f"{name} is a parameter already")
        compiler = context.compiler()
        sql = context.expr(compiler, text, scope, place)
        kind = Kind("text", null=True) if sql is None else sql.kind
        if sql is not None:
            made.append((name, Statement(f"SELECT {sql.text}", compiler.bindings)))
        scope = scope.with_value(name, Value(kind, f":l_{name}"))
    return tuple(made), scope


def _rules(
    context: Context, forms: Sequence[Any], scope: Scope, trail: Trail
) -> tuple[Statement | None, tuple[RuleStep, ...]]:
    compiler = context.compiler()
    tests: list[str] = []
    steps: list[RuleStep] = []
    for index, form in enumerate(forms):
        if not isinstance(form, Rule):
            continue
        place = (*trail, "rules", index)
        sql = context.expr(compiler, form.require, scope, (*place, "require"), condition=True)
        message = context.template(form.message, scope, (*place, "message"))
        if sql is not None:
            tests.append(sql.text)
            steps.append(RuleStep(form.error, message))
    if not tests:
        return None, ()
    return Statement(f"SELECT {', '.join(tests)}", compiler.bindings), tuple(steps)


def _output(context: Context, form: ToolForm | ResourceForm, scope: Scope, trail: Trail) -> Output:
    row, columns = _row(context, form, scope, trail)
    place = (*trail, "find")
    query = form.find if isinstance(form.find, Query) else None
    find = None if query is None else compile_query(context, query, scope, place)
    compiler = context.compiler()
    texts: list[str] = []
    values: list[Column] = []
    lists: list[tuple[str, Select]] = []
    taken = {each.name for each in columns} | (set(_FIND) if find is not None else set())
    for name, each in form.result.items():
        place = (*trail, "result", name)
        if name in taken:
            context.wrong(place, f"{name} is in the result already")
        if isinstance(each, Query):
            select = compile_query(context, each, scope, place)
            if each.page is not None:
                context.wrong((*place, "page"), "only the tool's own `find` has pages")
            if select is not None:
                lists.append((name, select))
        elif each is not INVALID:
            sql = context.expr(compiler, each, scope, place)
            if sql is not None:
                texts.append(sql.text)
                values.append(Column(name, sql.kind))
    statement = Statement(f"SELECT {', '.join(texts)}", compiler.bindings) if texts else None
    shows = set(compiler.used)
    if row is not None and form.row is not None:
        shows |= {(scope.rows[form.row].entity, each.name) for each in columns}
    queries = [each for each in (find, *(select for _, select in lists)) if each is not None]
    shows.update(*(select.uses for select in queries))
    return Output(
        row,
        columns,
        find,
        statement,
        tuple(values),
        tuple(lists),
        tuple(name for name, each in form.result.items() if each is not INVALID),
        frozenset(shows),
    )


_FIND = ("rows", "count", "total", "next_offset")


def _row(
    context: Context, form: ToolForm | ResourceForm, scope: Scope, trail: Trail
) -> tuple[Statement | None, tuple[Column, ...]]:
    if form.row is None:
        return None, ()
    row: Row | None = scope.rows.get(form.row)
    if row is None:
        mend = hint(form.row, scope.rows, "there are")
        context.wrong((*trail, "row"), f"no row {form.row!r} is in scope{mend}")
        return None, ()
    shape = context.entities[row.entity]
    without = form.without if isinstance(form, ToolForm) else []
    for index, field in enumerate(without):
        if field not in shape.fields:
            mend = hint(field, shape.fields, "it has")
            context.wrong((*trail, "without", index), f"{shape.name} has no {field!r}{mend}")
    columns = tuple(
        Column(name, kind.maybe(row.null))
        for name, kind in shape.fields.items()
        if name not in without
    )
    selected = ", ".join(quoted(each.name) for each in columns) or "1"
    text = f"SELECT {selected} FROM {quoted(shape.name)} WHERE {quoted(shape.key)} = {row.key}"
    return Statement(text, {}), columns


def output_schema(output: Output) -> dict[str, Any]:
    """The JSON Schema of what a body gives."""
    properties = {each.name: each.kind.schema() for each in output.row_columns}
    if output.find is not None:
        properties["rows"] = rows_schema(output.find)
        properties["count"] = properties["total"] = INTEGER.schema()
        if output.find.page:
            properties["next_offset"] = INTEGER.maybe().schema()
    more = {each.name: each.kind.schema() for each in output.value_columns}
    more |= {name: rows_schema(select) for name, select in output.lists}
    properties |= {name: more[name] for name in output.names if name in more}
    if not properties:
        properties = {"done": {"type": "boolean"}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def rows_schema(select: Select) -> dict[str, Any]:
    columns = {each.name: each.kind.schema() for each in select.columns}
    item = {"type": "object", "properties": columns, "required": list(columns)}
    return {"type": "array", "items": item}
