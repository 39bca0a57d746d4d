"""What can be asked of results: a field, a number of rows, the most of something, a comparison."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nexau.synth.tasks.structs import Fact, Goal, Leaf, Operand, Reply, Step

_DULL = frozenset({"count", "total", "next_offset", "done"})
MAX_FACTS = 2
LONGEST = 200
"""Characters of a text that an answer can be asked to hold."""
_LINE = re.compile(r"^\W*([A-Za-z][A-Za-z ]{1,30}): (\S.{0,79})$", re.MULTILINE)
_TOKEN = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.+Z-]+)?|-?\d+(?:\.\d+)?(?![\w.-]*\w)")


def rows_of(reply: Reply) -> dict[str, list[dict[str, Leaf]]]:
    """The lists of a result, each row as its leaves by name."""
    found: dict[str, dict[str, dict[str, Leaf]]] = {}
    for leaf in reply.leaves:
        parts = leaf.pointer.split("/")
        if len(parts) == 4:
            rows = found.setdefault(f"/{parts[1]}", {})
            rows.setdefault(parts[2], {})[parts[3]] = leaf
    return {name: list(rows.values()) for name, rows in found.items()}


def plain(reply: Reply) -> list[Leaf]:
    """Leaves that stand in no list."""
    return [leaf for leaf in reply.leaves if leaf.pointer.count("/") == 1]


def askable(leaf: Leaf) -> bool:
    """Whether a person would ask for it, and an answer can be told from none."""
    value = leaf.value
    if value is None or isinstance(value, bool | list | dict) or leaf.noun:
        return False
    if isinstance(value, str) and (len(value) > LONGEST or "\n" in value):
        return False
    return leaf.name not in _DULL and value != "" and leaf.name not in ("id", "limit", "offset")


def numeric(leaf: Leaf) -> bool:
    return askable(leaf) and isinstance(leaf.value, int | float)


def look(step: Step, reply: Reply, chance: Random) -> Goal | None:
    """One or two fields of the row that a call gives."""
    given = {str(value) for value in step.values.values()}
    leaves = [leaf for leaf in plain(reply) if askable(leaf) and str(leaf.value) not in given]
    if not leaves or [leaf.name for leaf in reply.leaves] == ["result"]:
        return None
    chosen = chance.sample(leaves, min(len(leaves), chance.choice((1, 1, MAX_FACTS))))
    facts = tuple(Fact(leaf.name, leaf.value, step.id, leaf.pointer) for leaf in chosen)
    return Goal("look", step.id, facts)


def look_text(step: Step, reply: Reply, chance: Random) -> Goal | None:
    """What a text says under a label, or the only value in it that was not given."""
    given = {str(value) for value in step.values.values()}
    told = {name: value for name, value in told_in(reply).items() if value not in given}
    if not told:
        return None
    name = chance.choice(sorted(told))
    return Goal("look", step.id, (Fact(name, told[name]),), field=name, detail="text")


def told_in(reply: Reply) -> dict[str, str]:
    """The lines of a text that are `label: value`; without any, its last number or date, or the
    whole where it is short.
    """
    texts = [x.value for x in reply.leaves if isinstance(x.value, str)]
    if len(reply.leaves) != 1 or not texts:
        return {}
    lines = {
        name.strip().casefold().replace(" ", "_"): value.strip().rstrip(".")
        for name, value in _LINE.findall(texts[0])
    }
    if lines:
        return lines
    tokens = _TOKEN.findall(texts[0])
    if tokens and len(texts[0]) <= LONGEST:
        return {"result": tokens[-1]}
    return {"result": texts[0]} if len(texts[0]) <= LONGEST // 3 and "\n" not in texts[0] else {}


def look_row(step: Step, reply: Reply, chance: Random) -> Goal | None:
    """A field of one row of a list, which another of its fields tells from the rest."""
    for at, rows in _shuffled(rows_of(reply), chance):
        if len(rows) < 2:
            continue
        row = chance.choice(rows)
        mark = telling(row, rows)
        if mark is None:
            continue
        leaves = [leaf for leaf in row.values() if askable(leaf) and leaf.name != mark.name]
        leaves = [leaf for leaf in leaves if str(leaf.value) != str(mark.value)]
        if leaves:
            leaf = chance.choice(leaves)
            fact = Fact(leaf.name, leaf.value, step.id, leaf.pointer)
            return Goal("look", step.id, (fact,), field=mark.pointer, detail=at)
    return None


def telling(row: Mapping[str, Leaf], rows: Sequence[Mapping[str, Leaf]]) -> Leaf | None:
    """The field that tells a row from the others of its list; names before dates and numbers."""
    unique = [
        leaf
        for name, leaf in row.items()
        if (askable(leaf) or leaf.noun)
        and sum(other.get(name, leaf).value == leaf.value for other in rows) == 1
    ]
    return min(unique, key=_clarity, default=None)


def _clarity(leaf: Leaf) -> tuple[int, str]:
    named = leaf.name in ("name", "title", "subject", "label") or leaf.name.endswith("_name")
    dated = leaf.name.endswith(("_on", "_at", "_date")) or leaf.name == "date"
    return (0 if named else 1 if dated else 3 if leaf.noun else 2, leaf.name)


def count(step: Step, reply: Reply, chance: Random) -> Goal | None:
    """How many rows there are: all, or those with one value."""
    for at, rows in _shuffled(rows_of(reply), chance):
        names = [
            name
            for name in rows[0]
            if isinstance(rows[0][name].value, str)
            and not rows[0][name].noun
            and 1 < len({row[name].value for row in rows}) <= max(2, len(rows) // 2)
        ]
        if names and chance.random() < 0.7:
            name = chance.choice(sorted(names))
            leaf = chance.choice(rows)[name]
            some = sum(row[name].value == leaf.value for row in rows)
            if some < 2:
                continue
            return Goal(
                "count",
                step.id,
                (Fact("number", some),),
                field=leaf.pointer,
                detail=at,
                said=str(leaf.value),
            )
        if len(rows) > 1:
            return Goal("count", step.id, (Fact("number", len(rows)),), detail=at)
    return None


def constrained(
    one: Step, other: Step, replies: Mapping[str, Reply], chance: Random
) -> Goal | None:
    """How many rows of one list have more of something than the most of another list."""
    for at, rows in _shuffled(rows_of(replies[one.id]), chance):
        others = rows_of(replies[other.id]).get(at, [])
        names = [name for name in rows[0] if sortable(rows, name) and others]
        names = [name for name in names if sortable(others, name) and numeric(rows[0][name])]
        for name in names:
            top = max(others, key=lambda row: row[name].value)[name]
            some = sum(row[name].value > top.value for row in rows)
            if some and len(others) > 1:
                fact = Fact("number", some)
                return Goal("constrain", one.id, (fact,), (other.id,), top.pointer, at)
    return None


def contradicted(
    one: Step, other: Step, replies: Mapping[str, Reply], chance: Random
) -> Goal | None:
    """Two records that say different things under one name."""
    left = {leaf.name: leaf for leaf in plain(replies[one.id]) if askable(leaf)}
    right = {leaf.name: leaf for leaf in plain(replies[other.id]) if askable(leaf)}
    names = sorted(n for n in left.keys() & right.keys() if left[n].value != right[n].value)
    names = [n for n in names if isinstance(left[n].value, str)]
    if not names:
        return None
    name = chance.choice(names)
    facts = (
        Fact(name, left[name].value, one.id, left[name].pointer),
        Fact(name, right[name].value, other.id, right[name].pointer),
    )
    return Goal("contradict", one.id, facts, (other.id,), name)


def resolved(one: Step, other: Step, replies: Mapping[str, Reply], chance: Random) -> Goal | None:
    """Two records that disagree; the one with the later date counts."""
    pairs = [{leaf.name: leaf for leaf in plain(replies[step.id])} for step in (one, other)]
    left, right = pairs
    shared = sorted(left.keys() & right.keys())
    told = [
        name
        for name in shared
        if askable(left[name]) and askable(right[name]) and not dated(left[name])
        and left[name].value != right[name].value
    ]  # fmt: skip
    dates = [
        name
        for name in shared
        if dated(left[name]) and dated(right[name]) and left[name].value != right[name].value
    ]
    if not told or not dates:
        return None
    name, date = chance.choice(told), chance.choice(dates)
    operands = tuple(
        Operand(step.id, leaf.pointer, leaf.value)
        for step, leaves in zip((one, other), pairs, strict=True)
        for leaf in (leaves[name], leaves[date])
    )
    value = (left if left[date].value > right[date].value else right)[name].value
    return Goal("resolve", one.id, (Fact(name, value),), (other.id,), name, date, operands=operands)


def dated(leaf: Leaf) -> bool:
    """Whether it is a date or a moment."""
    return is_dated(leaf.name) and isinstance(leaf.value, str) and bool(leaf.value)


def is_dated(name: str) -> bool:
    return name.endswith(("_on", "_at", "_date")) or name == "date"


def most(step: Step, reply: Reply, chance: Random) -> Goal | None:
    """The row with the most or the least of a number, or the first or last by a date."""
    for _, rows in _shuffled(rows_of(reply), chance):
        if len(rows) < 2:
            continue
        fields = [name for name in rows[0] if sortable(rows, name)]
        chance.shuffle(fields)
        for name in fields:
            high = chance.random() < 0.6
            ordered = sorted(rows, key=lambda row: row[name].value, reverse=high)
            top, next_one = ordered[0][name].value, ordered[1][name].value
            asked = [
                leaf
                for leaf in ordered[0].values()
                if leaf.name != name
                and (askable(leaf) or leaf.name == "id")
                and leaf.value is not None
            ]
            if top == next_one or not asked:
                continue
            leaf = min(asked, key=_clarity)
            fact = Fact(leaf.name, leaf.value, step.id, leaf.pointer)
            where = ordered[0][name].pointer
            return Goal("most", step.id, (fact,), field=where, detail="most" if high else "least")
    return None


def worked_out(goal: Goal, replies: Mapping[str, Reply]) -> Any:
    """The value of a goal's fact that stands in no result, from the results that it needs; None
    where one is missing or does not hold it.
    """
    needed = [replies.get(name) for name in (goal.target, *goal.others)]
    if any(reply is None or reply.error for reply in needed):
        return None
    if goal.operands:
        return _of_operands(goal, replies)
    first, *rest = [reply for reply in needed if reply is not None]
    if goal.detail == "text":
        return told_in(first).get(goal.field)
    if goal.kind in ("compare", "total"):
        leaves = [leaf for reply in (first, *rest) for leaf in plain(reply)]
        values = [leaf.value for leaf in leaves if leaf.name == goal.field and numeric(leaf)]
        if len(values) != len(needed):
            return None
        if goal.kind == "total":
            return added(values)
        return max(values) if goal.detail == "most" else min(values)
    rows = rows_of(first).get(goal.detail, [])
    if goal.kind == "constrain":
        name = goal.field.rsplit("/", 1)[1]
        others = [row[name].value for row in rows_of(rest[0]).get(goal.detail, [])]
        return sum(row[name].value > max(others) for row in rows) if others else None
    if not goal.field:
        return len(rows)
    name = goal.field.rsplit("/", 1)[1]
    return sum(str(row[name].value) == goal.said for row in rows)


def _of_operands(goal: Goal, replies: Mapping[str, Reply]) -> Any:
    """What values with fields of their own come to; None where one of them is missing."""
    values = [operand_of(each, replies[each.call]) for each in goal.operands]
    if any(value is None for value in values):
        return None
    if goal.kind == "total":
        return added(values)
    if goal.kind == "resolve":
        value, date, other, later = values
        return other if later > date else value
    if goal.kind == "constrain":
        at, _, name = goal.field.rpartition("/")
        rows = rows_of(replies[goal.target]).get(at, [])
        return sum(row[name].value > values[0] for row in rows if name in row)
    return max(values) if goal.detail == "most" else min(values)


def operand_of(operand: Operand, reply: Reply) -> Any:
    """Its value in another result; None where it is not there."""
    if operand.counted:
        rows = rows_of(reply).get(operand.pointer)
        return None if rows is None else len(rows)
    return next((leaf.value for leaf in reply.leaves if leaf.pointer == operand.pointer), None)


def computed(goal: Goal) -> bool:
    """Whether its answer has to be worked out from results: no reference to one gives it."""
    return goal.kind in COMPUTED or goal.detail == "text"


COMPUTED = frozenset({"count", "total", "constrain", "compare", "resolve"})
"""Kinds of goals whose answer has to be worked out from results."""


def added(values: Sequence[Any]) -> Any:
    total = sum(values)
    return round(total, 6) if isinstance(total, float) else total


def sortable(rows: Sequence[Mapping[str, Leaf]], name: str) -> bool:
    leaves = [row[name] for row in rows if name in row]
    if len(leaves) != len(rows) or any(leaf.value is None or leaf.noun for leaf in leaves):
        return False
    if name == "id":
        return False
    dated = name.endswith(("_on", "_at", "_date")) or name == "date"
    return all(numeric(leaf) for leaf in leaves) or (
        dated and all(isinstance(leaf.value, str) for leaf in leaves)
    )


def compare(steps: Sequence[Step], replies: Mapping[str, Reply], chance: Random) -> Goal | None:
    """Which of several rows has more of something, and how much."""
    fields = _shared(steps, replies)
    chance.shuffle(fields)
    for name in fields:
        leaves = [_plain_leaf(replies[step.id], name) for step in steps]
        values = [leaf.value for leaf in leaves]
        high = chance.random() < 0.6
        best = max(values) if high else min(values)
        if values.count(best) > 1:
            continue
        at = values.index(best)
        fact = Fact(name, best, steps[at].id, leaves[at].pointer)
        others = tuple(step.id for step in steps if step is not steps[at])
        return Goal("compare", steps[at].id, (fact,), others, name, "most" if high else "least")
    return None


def total(steps: Sequence[Step], replies: Mapping[str, Reply], chance: Random) -> Goal | None:
    """The sum of a number over several rows."""
    fields = _shared(steps, replies)
    if not fields:
        return None
    name = chance.choice(fields)
    values = [_plain_leaf(replies[step.id], name).value for step in steps]
    together = added(values)
    if together in values or not together:
        return None
    first, *rest = steps
    return Goal("total", first.id, (Fact(name, together),), tuple(s.id for s in rest), name)


def _shared(steps: Sequence[Step], replies: Mapping[str, Reply]) -> list[str]:
    names = [{leaf.name for leaf in plain(replies[step.id]) if numeric(leaf)} for step in steps]
    return sorted(set.intersection(*names)) if names else []


def _plain_leaf(reply: Reply, name: str) -> Leaf:
    return next(leaf for leaf in plain(reply) if leaf.name == name)


def _shuffled(rows: Mapping[str, Any], chance: Random) -> list[tuple[str, Any]]:
    items = sorted(rows.items())
    chance.shuffle(items)
    return items


def change(step: Step, reply: Reply, chance: Random) -> Goal:
    """A write; the answer tells what came of it, where there is something to tell."""
    given = {str(value) for value in step.values.values()}
    leaves = [
        leaf
        for leaf in plain(reply)
        if (askable(leaf) or (leaf.noun and leaf.noun == step.tool.makes))
        and str(leaf.value) not in given
        and leaf.value is not None
    ]
    chosen = chance.sample(leaves, min(1, len(leaves)))
    facts = tuple(Fact(leaf.name, leaf.value, step.id, leaf.pointer) for leaf in chosen)
    return Goal("change", step.id, facts)
