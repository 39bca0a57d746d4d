"""Calls of tools, resources and prompts on a state. Synchronous; whatever goes wrong with a call is
in what it gives back, never raised.
"""

import sqlite3
from collections.abc import Callable, Container, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.files.nearest import hint
from nexau.files.problems import clip
from nexau.synth.worlds.bindings import bind, converted
from nexau.synth.worlds.compiled import (
    Bindings,
    Body,
    EffectStep,
    Output,
    Prompt,
    Resource,
    Select,
    Statement,
    Template,
)
from nexau.synth.worlds.quoting import quoted
from nexau.synth.worlds.refusals import Refusal, refusal_of
from nexau.synth.worlds.seedrows import key_of
from nexau.synth.worlds.state import State, plain

MAX_RESULT = 2_000_000
"""Bytes of one result, as JSON."""
MAX_EACH = 10_000
"""Rows that one effect inserts."""


class Answer(Struct, frozen=True, gc=False):
    """What a call gives back; of a failed one, `code` and `message`."""

    body: dict[str, Any]
    is_error: bool = False
    encoded: bytes = b""
    """The body as JSON, where it had to be measured: `json` has it in any case."""

    @property
    def json(self) -> bytes:
        return self.encoded or msgspec.json.encode(self.body)

    @property
    def code(self) -> str:
        return str(self.body["code"]) if self.is_error else ""


def call(
    state: State,
    name: str,
    arguments: Any,
    *,
    then: Callable[[], None] | None = None,
    known: Container[str] = (),
) -> Answer:
    """A tool's answer. A call that fails leaves the state as it was.

    With `then`, a write is tried only: `then` sees the state that it makes, and the write is
    undone. Rules with a code in `known` refuse without their sentence, which may cost more than all
    else.
    """
    tool = state.world.tools.get(name)
    if tool is None:
        mend = hint(name, state.world.tools, "there are")
        return _failed(Refusal("unknown_tool", f"no tool {clip(name)}{mend}"))
    given = {} if arguments is None else arguments
    fault = tool.validator.validate(given)
    if fault is not None:
        return _failed(Refusal("invalid_arguments", fault))
    try:
        return _run(state, tool.body, given, then, known)
    except Refusal as refusal:
        return _failed(refusal)


def read(state: State, resource: Resource, arguments: Mapping[str, str]) -> str:
    """A resource as text. Raises `Refusal`."""
    bindings = bind(resource.body, converted(resource.body, arguments))
    try:
        state.budget.renew()
        _check_references(state, resource.body, bindings)
        if resource.text is not None:
            return render(state, resource.text, bindings)
        body = output(state, resource.body.output, bindings)
        return msgspec.json.encode(body).decode()
    except sqlite3.Error as error:
        raise refusal_of(state.world, resource.body, error) from None


def prompt(state: State, form: Prompt, arguments: Mapping[str, str]) -> str:
    """A prompt's text. Raises `Refusal`."""
    for name, each in form.body.parameters.items():
        if each.required and name not in arguments:
            raise Refusal("invalid_arguments", f"{name!r} is missing")
    bindings = bind(form.body, converted(form.body, arguments))
    try:
        state.budget.renew()
        _check_references(state, form.body, bindings)
        return render(state, form.text, bindings)
    except sqlite3.Error as error:
        raise refusal_of(state.world, form.body, error) from None


def _run(
    state: State,
    body: Body,
    arguments: Mapping[str, Any],
    then: Callable[[], None] | None,
    known: Container[str],
) -> Answer:
    """The body on arguments that its schema admits, as `call`. Raises `Refusal`."""
    bindings = bind(body, arguments)
    state.budget.renew()
    try:
        # Nobody else is on this connection, so what is found holds when the transaction begins.
        _prepare(state, body, bindings, known)
        if not body.effects:
            return _sized(output(state, body.output, bindings))
        state.db.execute("BEGIN")
        try:
            for step in body.effects:
                _apply(state, step, bindings)
            made = _sized(output(state, body.output, bindings))
            if then is not None:
                then()
        except BaseException:
            if state.db.in_transaction:
                state.db.execute("ROLLBACK")
            raise
        state.db.execute("COMMIT" if then is None else "ROLLBACK")
        return made
    except sqlite3.Error as error:
        raise refusal_of(state.world, body, error) from None


def _failed(refusal: Refusal) -> Answer:
    return Answer({"code": refusal.code, "message": refusal.message}, is_error=True)


def _execute(state: State, statement: Statement, bindings: Bindings) -> sqlite3.Cursor:
    own = statement.bindings
    return state.db.execute(statement.sql, {**bindings, **own} if own else bindings)


def _prepare(state: State, body: Body, bindings: Bindings, known: Container[str]) -> None:
    """References, `let`s and rules."""
    _check_references(state, body, bindings)
    for name, statement in body.lets:
        bindings[f"l_{name}"] = _execute(state, statement, bindings).fetchone()[0]
    if body.rules is not None:
        held = _execute(state, body.rules, bindings).fetchone()
        for step, holds in zip(body.rule_steps, held, strict=True):
            if not holds:
                told = "" if step.error in known else render(state, step.message, bindings)
                raise Refusal(step.error, told)


def _check_references(state: State, body: Body, bindings: Bindings) -> None:
    if body.exists is None:
        return
    found = _execute(state, body.exists, bindings).fetchone()
    for (name, entity), there in zip(body.references, found, strict=True):
        if not there:
            message = f"there is no {entity} {bindings[f'p_{name}']}"
            raise Refusal(f"no_such_{entity}", message)


def render(state: State, template: Template, bindings: Bindings) -> str:
    values: tuple[Any, ...] = ()
    if template.statement is not None:
        values = _execute(state, template.statement, bindings).fetchone()
    made = [
        part if isinstance(part, str) else _shown(plain(values[part], template.kinds[part]))
        for part in template.parts
    ]
    return "".join(made)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _apply(state: State, step: EffectStep, bindings: Bindings) -> None:
    if step.when is not None and not _execute(state, step.when, bindings).fetchone()[0]:
        if step.named:
            bindings[f"n_{step.named}"] = None
        return
    if step.kind == "insert":
        own = {**bindings, "k": _next_key(state, step.entity)} if step.counter else bindings
        (key,) = _execute(state, step.statement, own).fetchone()
        if step.named:
            bindings[f"n_{step.named}"] = key
    elif step.kind == "insert_each":
        assert step.source is not None
        rows = _execute(state, step.source, bindings).fetchmany(MAX_EACH + 1)
        if len(rows) > MAX_EACH:
            raise Refusal("too_large", f"more than {MAX_EACH:,} rows at once")
        for row in rows:
            own = {f"v_{index}": value for index, value in enumerate(row)}
            if step.counter:
                own["k"] = _next_key(state, step.entity)
            state.db.execute(step.statement.sql, own)
    else:
        _execute(state, step.statement, bindings)


def _next_key(state: State, entity: str) -> Any:
    """Past those that are taken: a world's own rows may use the sequence's form."""
    made = state.world.entities[entity]
    while True:
        text = "UPDATE _counter SET n = n + 1 WHERE entity = ? RETURNING n - 1"
        (number,) = state.db.execute(text, (entity,)).fetchone()
        key = key_of(made, number)
        text = f"SELECT 1 FROM {quoted(entity)} WHERE {quoted(made.shape.key)} = ?"
        if state.db.execute(text, (key,)).fetchone() is None:
            return key


def output(state: State, form: Output, bindings: Bindings) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if form.row is not None:
        row = _execute(state, form.row, bindings).fetchone()
        values = row if row is not None else (None,) * len(form.row_columns)
        for column, value in zip(form.row_columns, values, strict=False):
            made[column.name] = plain(value, column.kind)
    if form.find is not None:
        made |= _found(state, form.find, bindings)
    if form.values is not None:
        values = _execute(state, form.values, bindings).fetchone()
        for column, value in zip(form.value_columns, values, strict=True):
            made[column.name] = plain(value, column.kind)
    for name, select in form.lists:
        made[name] = _rows(state, select, {**bindings, "limit": select.limit, "offset": 0})
    if form.values is not None and form.lists:
        made |= {name: made.pop(name) for name in form.names}
    return made or {"done": True}


def _found(state: State, select: Select, bindings: Bindings) -> dict[str, Any]:
    limit = bindings["p_limit"] if select.page else select.limit
    offset = bindings["p_offset"] if select.page else 0
    rows = _rows(state, select, {**bindings, "limit": limit, "offset": offset})
    end = offset + len(rows)
    whole = len(rows) < limit and (rows or not offset)
    (total,) = (end,) if whole else _execute(state, select.total, bindings).fetchone()
    made = {"rows": rows, "count": len(rows), "total": total}
    if select.page:
        made["next_offset"] = end if end < total else None
    return made


def _rows(state: State, select: Select, bindings: Bindings) -> list[dict[str, Any]]:
    columns = [each.name for each in select.columns]
    booleans = [each.name for each in select.columns if each.kind.name == "boolean"]
    rows = [
        dict(zip(columns, values, strict=True))
        for values in _execute(state, select.statement, bindings)
    ]
    for name in booleans:
        for row in rows:
            row[name] = row[name] if row[name] is None else bool(row[name])
    return rows


def _sized(body: dict[str, Any]) -> Answer:
    encoded = msgspec.json.encode(body)
    if len(encoded) > MAX_RESULT:
        raise Refusal("too_large", f"the result has more than {MAX_RESULT:,} bytes")
    return Answer(body, encoded=encoded)
