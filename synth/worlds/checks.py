"""Checks of tasks: declarations about a world's final state and the answer, read and compiled.

    {"expect": ["exists(refund where refund.order_id == 'O-20117' and refund.amount == 12100)"],
     "changes": {"refund": {"added": 1}, "order": {"changed": 1, "fields": ["status"]}},
     "answer": {"contains": ["O-20117"], "values": ["sum(refund.amount for refund)"]}}

Expressions are those of worlds, over the final state; `before(EXPR)` is their value in the initial
one. With `changes`, entities that it does not name are as they were.
"""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError, Task
from nexau.files.forms import INVALID, Complain, describe, read_struct
from nexau.files.nearest import hint
from nexau.files.problems import Problem, Trail, display, show
from nexau.files.yamlnodes import Node, Unreadable, parse as parse_yaml
from nexau.models.check_plan import check_plan
from nexau.synth.worlds.compiled import Statement, World
from nexau.synth.worlds.expressions import ExpressionError, parse
from nexau.synth.worlds.kinds import Kind
from nexau.synth.worlds.scope import Scope
from nexau.synth.worlds.sql import Compiler
from nexau.tasks.lines import TaskLines


class ChangeForm(Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows of an entity differ at the end."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    fields: list[str] = []
    """The only fields that may differ in changed rows; empty: any."""


class AnswerForm(Struct, frozen=True, forbid_unknown_fields=True):
    """What the answer says. Case and spacing do not count; numbers are compared as numbers, with or
    without separators of thousands."""

    contains: list[str] = []
    """Each of these."""
    any: list[str] = []
    """At least one of these."""
    lacks: list[str] = []
    """None of these."""
    values: list[str] = []
    """Expressions, the value of each of which it holds."""


class CheckForm(Struct, frozen=True, forbid_unknown_fields=True):
    """What has to hold at the end of a task."""

    expect: list[str] = []
    """Conditions on the final state."""
    changes: dict[str, ChangeForm] | None = None
    """All that differs from the initial state: entities and how; `{}` for nothing. Without it,
    anything may."""
    answer: AnswerForm | None = None


class Expectation(Struct, frozen=True):
    text: str
    statement: Statement
    kind: Kind
    befores: tuple[tuple[str, Statement], ...]
    """Values of the initial state, by their bindings."""


class Check(Struct, frozen=True):
    """A compiled check."""

    form: CheckForm
    expect: tuple[Expectation, ...]
    values: tuple[Expectation, ...]
    """Of the answer."""


class CheckError(DefinitionError):
    """A check that cannot be used, with every problem in it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def compile_check(world: World, value: Any, label: str = "check") -> Check:
    """The check of a task, as `Task.check` holds it. Raises `CheckError`."""
    check, problems = read_check(world, value, label)
    if check is None or problems:
        raise CheckError(problems)
    return check


def read_check(
    world: World, value: Any, label: str, line: int = 0
) -> tuple[Check | None, list[Problem]]:
    """A check as far as it can be made, and what is wrong with it."""
    problems: list[Problem] = []

    def complain(trail: Trail, message: str, _: tuple[int, int] | None) -> None:
        problems.append(Problem(label, line, int(line > 0), show(trail), message))

    try:
        node = parse_yaml(msgspec.json.encode(value), lambda *_: None, json=True)
    except (Unreadable, TypeError) as error:
        return None, [Problem(label, line, int(line > 0), "check", str(error))]
    check = _compile(world, node, complain)
    return check, problems


def _compile(world: World, node: Node, complain: Complain) -> Check | None:
    root: Trail = ("check",)
    if not isinstance(node.value, dict):
        complain(root, f"expected a mapping, got {describe(node.value)}", None)
        return None
    form = read_struct(node, CheckForm, root, complain)
    assert isinstance(form, CheckForm)
    expect = _expressions(world, form.expect, (*root, "expect"), complain, condition=True)
    answer = form.answer if form.answer is not None else AnswerForm()
    values = _expressions(
        world, answer.values, (*root, "answer", "values"), complain, condition=False
    )
    for name, change in (form.changes or {}).items():
        entity = world.entities.get(name)
        if entity is None:
            mend = hint(name, world.entities, "there are")
            complain((*root, "changes", name), f"no entity {name!r}{mend}", None)
        elif change is not INVALID:
            for index, field in enumerate(change.fields):
                if field not in entity.shape.fields:
                    mend = hint(field, entity.shape.fields, "it has")
                    place = (*root, "changes", name, "fields", index)
                    complain(place, f"{name} has no field {field!r}{mend}", None)
    if form == CheckForm():
        complain(root, "expected one of expect, changes and answer", None)
    return Check(form, expect, values)


def _expressions(
    world: World, texts: list[str], trail: Trail, complain: Complain, *, condition: bool
) -> tuple[Expectation, ...]:
    made: list[Expectation] = []
    shapes = world.shapes()
    for index, text in enumerate(texts):
        if text is INVALID:
            continue
        compiler = Compiler(shapes, world.today, compares=True)
        try:
            parsed = parse(text)
            if condition:
                sql, kind = compiler.condition(parsed, Scope()), Kind("boolean")
            else:
                value = compiler.expr(parsed, Scope())
                sql, kind = value.text, value.kind
        except ExpressionError as error:
            message = f"{error.message} (character {error.at + 1})"
            complain((*trail, index), message, None)
            continue
        befores = tuple(
            (name, Statement(f"SELECT {each.text}", bindings))
            for name, each, bindings in compiler.befores
        )
        statement = Statement(f"SELECT {sql}", compiler.bindings)
        made.append(Expectation(text, statement, kind, befores))
    return tuple(made)


def read_world_tasks(path: Path, world: World) -> tuple[list[Task], list[Problem]]:
    """The tasks of a file of JSON lines with their checks, and everything that is wrong: lines,
    plans, and checks against `world`.
    """
    label = display(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        return [], [Problem(label, 0, 0, "", f"cannot be read: {error.strerror}")]
    lines = TaskLines(label)
    tasks: list[Task] = []
    problems: list[Problem] = []
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        batch = lines.feed(line if line.endswith(b"\n") else line + b"\n")
        if batch.error is not None:
            message = str(batch.error).partition(f"{label}:{number}: ")[2]
            return tasks, [*problems, Problem(label, number, 1, "", message or str(batch.error))]
        for task in batch.tasks:
            tasks.append(task)
            problems += _task_problems(task, world, label, number)
    return tasks, problems


def _task_problems(task: Task, world: World, label: str, number: int) -> list[Problem]:
    found: list[Problem] = []
    if task.plan is not None:
        found += [
            Problem(label, number, 1, f"plan{each.pointer}", each.message)
            for each in check_plan(task.plan)
        ]
    if task.check is not None:
        found += read_check(world, task.check, label, number)[1]
    return found
