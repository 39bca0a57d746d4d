"""The check of a task, from what its plan really did: the rows that differ, and the facts asked."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nexau.synth.tasks.building import Unusable
from nexau.synth.tasks.sitting import Sources
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Draft, Goal
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.state import Changes

MAX_ROWS = 8
"""Changed rows of an entity that get conditions of their own; the counts hold for all."""

_TELLING = re.compile(
    r"\d{4}-\d\d-\d\d(?:T[\d:]*\d)?|(?<![\w-])\d+(?:\.\d+)?(?![\w-])|(?<![\w-])[a-z_]{4,}(?![\w-])"
)
_HOLES = re.compile(r"\{[^}]*\}")
_PLAIN = frozenset(
    "already only that this with than more less from have been does will cannot must order item "
    "takes take back they their there still names other into when where which".split()
)

REFUSALS = ["cannot", "can't", "can not", "unable", "not possible", "not able", "refused"]
"""One of which an answer says that declines."""


def states_of(
    sources: Sources, names: Iterable[str], changes: Mapping[str, Mapping[str, Changes]]
) -> dict[str, dict[str, Any]]:
    """What has to hold of the worlds among the sources of a task, by name: nothing may have
    changed but what the plan did. Raises `Unusable` for a change that cannot be declared.
    """
    made: dict[str, dict[str, Any]] = {}
    for name in names:
        source = sources.by_name[name]
        if isinstance(source, WorldSource):
            made[name] = _state(source.world, changes.get(name, {}))
    return made


def _state(world: World, changes: Mapping[str, Changes]) -> dict[str, Any]:
    expect = [
        condition
        for name, change in changes.items()
        for condition in _conditions(world, name, change)
    ]
    counts = {name: _counts(change) for name, change in changes.items()}
    return {"expect": expect, "changes": counts} if expect else {"changes": counts}


def check_form(
    states: Mapping[str, dict[str, Any]], answer: dict[str, Any], *, several: bool
) -> dict[str, Any]:
    """As `Task.check` holds it: of one world, or of `several` by name."""
    said = {"answer": answer} if answer else {}
    if several and states:
        return {"worlds": dict(states), **said}
    return {**next(iter(states.values()), {}), **said}


def _counts(change: Changes) -> dict[str, Any]:
    fields = sorted({field for row in change.changed.values() for field in row})
    counted = {
        "added": len(change.added),
        "removed": len(change.removed),
        "changed": len(change.changed),
    }
    form: dict[str, Any] = {name: number for name, number in counted.items() if number}
    return form | ({"fields": fields} if fields else {})


def _conditions(world: World, name: str, change: Changes) -> list[str]:
    entity = world.entities[name]
    key = entity.shape.key
    made: list[str] = []
    for row in list(change.added.values())[:MAX_ROWS]:
        own = entity.prefix is None
        parts = [
            _equals(f"{name}.{field}", value) for field, value in row.items() if field != key or own
        ]
        made.append(f"exists({name} where {' and '.join(parts)})")
    for value, fields in list(change.changed.items())[:MAX_ROWS]:
        parts = [_equals(f"{name}.{key}", value)]
        parts += [_equals(f"{name}.{field}", pair[1]) for field, pair in fields.items()]
        made.append(f"exists({name} where {' and '.join(parts)})")
    gone = [_equals(f"{name}.{key}", value) for value in list(change.removed)[:MAX_ROWS]]
    return made + [f"not exists({name} where {each})" for each in gone]


def _equals(path: str, value: Any) -> str:
    if value is None:
        return f"{path} is null"
    return f"{path} == {literal(value)}"


def literal(value: Any) -> str:
    """A value in the language of worlds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
    if isinstance(value, int | float):
        return msgspec.json.encode(value).decode()
    raise Unusable("a value that no expression can hold")


def answer_of(sources: Sources, draft: Draft) -> dict[str, Any]:
    """What the answer has to say. Raises `Unusable` for what cannot be told from nothing."""
    contains: list[str] = []
    for goal in draft.goals:
        if goal.kind == "refused":
            return {"any": REFUSALS, "contains": _reason(sources, draft, goal)}
        if goal.kind == "alien":
            return {"any": REFUSALS}
        contains += [str(fact.value) for fact in goal.facts]
    return {"contains": list(dict.fromkeys(contains))} if contains else {}


def _reason(sources: Sources, draft: Draft, goal: Goal) -> list[str]:
    """What of a refusal's message tells why: values in it that nobody had said, else its weightiest
    word.
    """
    step = draft.step(goal.target)
    source = sources.of(step.tool)
    assert isinstance(source, WorldSource)
    reply = draft.replies[step.id]
    said = {str(value) for each in draft.steps for value in each.values.values()}
    found = [word for word in _TELLING.findall(reply.message) if word not in said]
    fixed = {
        word
        for rule in source.world.form.tools[step.tool.name].rules
        if rule.error == reply.error
        for word in _TELLING.findall(_HOLES.sub(" ", rule.message))
    }
    values = [word for word in found if word not in fixed]
    if values:
        return list(dict.fromkeys(values))[-2:]
    words = [word for word in found if word.isalpha() and word not in _PLAIN]
    if not words:
        raise Unusable("a refusal without a reason that can be checked")
    return [max(words, key=len)]
