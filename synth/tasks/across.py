"""Goals in which branches from different servers meet: in the answer, or in an argument."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nexau.synth.tasks import goals
from nexau.synth.tasks.building import Builder, Unusable
from nexau.synth.tasks.sitting import Prober, Sitting, Sources
from nexau.synth.tasks.structs import Attempt, Fact, Goal, Leaf, Operand, Param, Reply, Step, Tool

ACROSS = "across-"
"""Begins the kinds of problems whose branches come from different servers."""
SEARCHES = 10
"""Calls that are tried on a server until one meets what was found on another."""
MANY = ("total", "compare")
"""Kinds in which more than two branches can meet."""
_MONEY = frozenset(
    "amount balance charge claimed cost credit fee paid price refund spent total".split()
)
_NOTES = frozenset(
    "body comment content description detail details memo message note notes reason remark remarks "
    "resolution subject summary text title".split()
)
_LONGEST = 60
"""Characters of a text that is carried from one server to another."""

Meet = Callable[[Step, Step, Mapping[str, Reply], Random], Goal | None]
_MEET: Mapping[str, Meet] = {"contradict": goals.contradicted, "resolve": goals.resolved}


class _Value(Struct, frozen=True):
    """A value that can meet others of its unit."""

    unit: str
    label: str
    pointer: str
    value: Any
    counted: bool = False


class _Branch(Struct, frozen=True):
    attempt: Attempt
    value: _Value


class Across:
    """Drafts goals over several sources."""

    def __init__(self, sources: Sources, probers: Mapping[str, Prober]) -> None:
        self._sources = sources
        self._probers = probers

    def types(self) -> list[tuple[str, ...]]:
        """Leaves of the tree: domain, noun, kind, tool."""
        if len(self._sources) < 2:
            return []
        shapes = {
            name: self._sources.of(t).shape(t.name) for name, t in self._sources.tools.items()
        }
        found: list[tuple[str, ...]] = []
        for name, tool in self._sources.tools.items():
            path, shape = ("across", tool.noun or "general"), shapes[name]
            writes = not tool.reads or self._sources.of(tool).live
            kinds = ["carry"] if writes and self._carriers(tool) else []
            if tool.reads:
                others = [
                    shape.fields & shapes[other].fields
                    for other, each in self._sources.tools.items()
                    if each.reads and each.server != tool.server
                ]
                kinds += ["total", "compare", *(["constrain"] if shape.lists else [])]
                kinds += ["contradict"] if any(others) else []
                kinds += ["resolve"] if any(map(can_resolve, others)) else []
            found += [(*path, f"{ACROSS}{kind}", name) for kind in kinds]
        return found

    def _carriers(self, tool: Tool) -> list[Param]:
        """Parameters that take any text: what a note says."""
        noted = self._sources.of(tool).live
        return [param for param in tool.params if _carries(param) and (noted or _notes(param))]

    async def goal(
        self,
        builder: Builder,
        session: Sitting,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> None:
        """Raises `Unusable`."""
        kind = kind.removeprefix(ACROSS)
        if kind == "carry":
            goal = await self._carry(builder, session, tool, hops, chance)
        elif kind in MANY:
            goal = await self._many(builder, session, kind, tool, hops, fusion, chance)
        elif kind == "constrain":
            goal = await self._constrain(builder, session, tool, hops, chance)
        else:
            goal = await self._meet(builder, session, _MEET[kind], tool, hops, chance)
        if goal is None:
            raise Unusable(f"nothing meets across servers ({kind})")
        builder.draft.goals.append(goal)

    async def _try(self, session: Sitting, tool: Tool, chance: Random) -> Attempt | None:
        return await self._probers[tool.server].succeed(session, tool, chance, {})

    def _elsewhere(self, servers: set[str], chance: Random) -> str:
        """A source that is none of these, or where there is no other, any but the last."""
        left = [name for name in self._sources.by_name if name not in servers]
        return chance.choice(left or list(self._sources.by_name))

    def _reader(self, server: str, chance: Random) -> Tool:
        readers = [tool for tool in self._sources.tools_of(server) if tool.reads]
        if not readers:
            raise Unusable("a server without a tool that reads")
        return chance.choice(readers)

    async def _many(
        self,
        builder: Builder,
        session: Sitting,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> Goal | None:
        first = await self._try(session, tool, chance)
        offered = [] if first is None else _values(first)
        offered = [each for each in offered if kind == "compare" or each.unit not in _TIMES]
        if first is None or not offered:
            return None
        branches = [_Branch(first, chance.choice(offered))]
        while len(branches) < fusion:
            server = self._elsewhere({each.attempt.tool.server for each in branches}, chance)
            found = await self._alike(session, server, branches, chance)
            if found is None:
                return None
            branches.append(found)
        steps = [await builder.add(each.attempt, hops) for each in branches]
        if len({step.id for step in steps}) < len(steps):
            return None
        operands = tuple(
            Operand(step.id, each.value.pointer, each.value.value, each.value.counted)
            for step, each in zip(steps, branches, strict=True)
        )
        values = [each.value for each in operands]
        label, unit = branches[0].value.label, branches[0].value.unit
        others = tuple(step.id for step in steps[1:])
        if kind == "total":
            total = goals.added(values)
            if not total or total in values:
                return None
            fact = Fact("number" if unit == "count" else label, total)
            return Goal("total", steps[0].id, (fact,), others, detail=unit, operands=operands)
        way = "most" if chance.random() < 0.6 else "least"
        best = max(values) if way == "most" else min(values)
        if values.count(best) > 1:
            return None
        won = branches[values.index(best)].value
        fact = Fact("number" if won.counted else won.label, best)
        return Goal("compare", steps[0].id, (fact,), others, unit, way, operands=operands)

    async def _alike(
        self, session: Sitting, server: str, branches: list[_Branch], chance: Random
    ) -> _Branch | None:
        """A call of that server with a value of the unit that the branches have."""
        unit = branches[0].value.unit
        for _ in range(SEARCHES):
            attempt = await self._try(session, self._reader(server, chance), chance)
            if attempt is None:
                continue
            fit = [value for value in _values(attempt) if value.unit == unit]
            if fit:
                return _Branch(attempt, chance.choice(fit))
        return None

    async def _constrain(
        self, builder: Builder, session: Sitting, tool: Tool, hops: int, chance: Random
    ) -> Goal | None:
        """How many rows of a list have more of something than a record of another server."""
        attempt = await self._try(session, tool, chance)
        if attempt is None:
            return None
        lists = goals.rows_of(attempt.reply)
        for at in sorted(lists):
            rows = lists[at]
            names = [name for name in rows[0] if goals.sortable(rows, name)]
            for name in names if len(rows) > 2 else ():
                goal = await self._above(builder, session, attempt, (at, name), hops, chance)
                if goal is not None:
                    return goal
        return None

    async def _above(
        self,
        builder: Builder,
        session: Sitting,
        attempt: Attempt,
        where: tuple[str, str],
        hops: int,
        chance: Random,
    ) -> Goal | None:
        at, name = where
        rows = goals.rows_of(attempt.reply)[at]
        own = _value_of(rows[0][name])
        server = self._elsewhere({attempt.tool.server}, chance)
        branch = await self._alike(session, server, [_Branch(attempt, own)], chance)
        if branch is None or branch.value.counted:
            return None
        bound = branch.value.value
        some = sum(row[name].value > bound for row in rows)
        if not 0 < some < len(rows):
            return None
        step, other = await builder.add(attempt, hops), await builder.add(branch.attempt, hops)
        operand = Operand(other.id, branch.value.pointer, bound)
        fact, field = Fact("number", some), f"{at}/{name}"
        return Goal("constrain", step.id, (fact,), (other.id,), field, at, operands=(operand,))

    async def _meet(
        self,
        builder: Builder,
        session: Sitting,
        meet: Meet,
        tool: Tool,
        hops: int,
        chance: Random,
    ) -> Goal | None:
        """Two records with fields of one name, from two servers."""
        first = await self._try(session, tool, chance)
        if first is None:
            return None
        server = self._elsewhere({tool.server}, chance)
        for _ in range(SEARCHES):
            second = await self._try(session, self._reader(server, chance), chance)
            if second is None:
                continue
            pair = [Step(str(i), each.tool, {}) for i, each in enumerate((first, second))]
            replies = {"0": first.reply, "1": second.reply}
            if meet(pair[0], pair[1], replies, Random(0)) is None:
                continue
            one, other = await builder.add(first, hops), await builder.add(second, hops)
            return meet(one, other, {one.id: first.reply, other.id: second.reply}, chance)
        return None

    async def _carry(
        self, builder: Builder, session: Sitting, tool: Tool, hops: int, chance: Random
    ) -> Goal | None:
        """What one server tells is an argument of another: a note with the state of an order."""
        param = chance.choice(self._carriers(tool))
        server = self._elsewhere({tool.server}, chance)
        for _ in range(SEARCHES):
            source = await self._try(session, self._reader(server, chance), chance)
            leaves = (
                [] if source is None else [x for x in goals.plain(source.reply) if _fits(x, param)]
            )
            if source is None or not leaves:
                continue
            leaf = chance.choice(leaves)
            attempt = await self._probers[tool.server].succeed(
                session, tool, chance, {}, {param.name: leaf.value}
            )
            if attempt is None:
                return None
            attempt = replace(attempt, links={param.name: (source, leaf.pointer)})
            step = await builder.add(attempt, hops)
            if tool.reads:
                seen = goals.look(step, attempt.reply, chance)
                return seen or goals.look_text(step, attempt.reply, chance)
            return goals.change(step, attempt.reply, chance)
        return None


_TIMES = ("date", "moment")


def _value_of(leaf: Leaf) -> _Value:
    name = leaf.name
    if goals.dated(leaf):
        unit = "date" if len(leaf.value) == 10 else "moment"
    elif name.rpartition("_")[2] in _MONEY:
        unit = "money"
    else:
        unit = f"={name}"
    return _Value(unit, name, leaf.pointer, leaf.value)


def _values(attempt: Attempt) -> list[_Value]:
    """What a result has that can be set against what others have."""
    found = [
        _value_of(leaf)
        for leaf in goals.plain(attempt.reply)
        if goals.numeric(leaf) or (goals.dated(leaf) and goals.askable(leaf))
    ]
    for at, rows in goals.rows_of(attempt.reply).items():
        if len(rows) > 1:
            found.append(_Value("count", "number", at, len(rows), counted=True))
    return found


def _carries(param: Param) -> bool:
    return (
        param.kind == "string"
        and not (param.ref or param.values)
        and not {"pattern", "format"} & param.schema.keys()
        and param.schema.get("maxLength", _LONGEST) >= _LONGEST
    )


def _notes(param: Param) -> bool:
    """Whether a person would put there what another record says."""
    return param.name.rpartition("_")[2] in _NOTES


def can_resolve(fields: frozenset[str]) -> bool:
    """Whether records with these fields can disagree, and be told apart by a date."""
    return 0 < sum(map(goals.is_dated, fields)) < len(fields)


def _fits(leaf: Leaf, param: Param) -> bool:
    least = param.schema.get("minLength", 0)
    return (
        goals.askable(leaf)
        and isinstance(leaf.value, str)
        and least <= len(leaf.value) <= _LONGEST
        and "\n" not in leaf.value
    )
