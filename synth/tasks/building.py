"""Drafts grow backwards: a call that works, then the calls that bring what it needs."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nexau.synth.tasks.lookups import Lookup, Lookups
from nexau.synth.tasks.sitting import Sitting
from nexau.synth.tasks.structs import (
    Argument,
    Attempt,
    Draft,
    Found,
    Given,
    Goal,
    Leaf,
    Reply,
    Step,
    Tool,
)

MAX_STEPS = 14
SMALL = 20
"""Numbers below it are alike too often to be taken for the same."""


class Unusable(Exception):
    """A draft that cannot become a task; the text is the reason, for counting."""


class Builder:
    """One draft while it grows. What calls brought back when they were tried is kept."""

    def __init__(self, lookups: Mapping[str, Lookups], chance: Random) -> None:
        """`lookups` by source; a source without them has no rows that could be looked up."""
        self.draft = Draft([], [])
        self.tried: dict[str, Reply] = {}
        """By the step's id: in the initial state for reads, after those before it for writes."""
        self.made: dict[tuple[str, str], Found] = {}
        """Keys of rows that earlier steps added, by source and noun."""
        self._lookups = lookups
        self._chance = chance

    async def add(self, attempt: Attempt, hops: int) -> Step:
        """A step that has been tried with success; what it takes is looked up, `hops` deep."""
        tool, grounded = attempt.tool, dict[str, Argument]()
        for name, (brought, pointer) in attempt.links.items():
            before = await self.add(brought, hops)
            grounded[name] = Found(before.id, pointer, attempt.arguments[name])
        for name, value in attempt.arguments.items():
            if name in grounded:
                continue
            param = tool.param(name)
            if param.ref and not isinstance(value, list):
                grounded[name] = await self.ground(tool.server, param.ref, value, hops)
            else:
                fixed = not param.values and param.kind == "string"
                seen = self._seen(tool.server, name, value)
                grounded[name] = seen or Given(value, fixed)
        return self._step(tool, {name: grounded[name] for name in attempt.arguments}, attempt.reply)

    async def ground(
        self, server: str, noun: str, key: Any, hops: int, above: frozenset[Any] = frozenset()
    ) -> Argument:
        """Where a key comes from: a row just made, a lookup, or the request itself. `above` are
        the keys that are looked up by it: no lookup goes in a circle.
        """
        made = self.made.get((server, noun))
        if made is not None and made.value == key:
            return made
        known = self._known(server, noun, key)
        if known is not None:
            return known
        if hops <= 0 or server not in self._lookups:
            return Given(key)
        lookups = await self._lookups[server].of(noun, key, self._chance)
        # What one call brought already need not be looked up by another: "their order 5".
        lookups.sort(key=self._is_new)
        inside = above | {key}
        for lookup in lookups:
            if inside & {x for x in lookup.arguments.values() if not isinstance(x, list)}:
                continue
            found = await self._follow(lookup, hops, inside)
            if found is not None:
                return found
        return Given(key)

    def _known(self, server: str, noun: str, key: Any) -> Argument | None:
        """What was said or found already is taken from there: the order's own customer."""
        for step in self.draft.steps:
            if step.tool.server != server:
                continue
            for leaf in self.tried[step.id].leaves if step.tool.reads else ():
                if leaf.noun == noun and leaf.value == key:
                    return Found(step.id, leaf.pointer, key)
            for name, argument in step.arguments.items():
                if step.tool.param(name).ref == noun and argument.value == key:
                    return argument
        return None

    def _is_new(self, lookup: Lookup) -> bool:
        return not any(
            _same_tool(step.tool, lookup.tool) and step.values == lookup.arguments
            for step in self.draft.steps
        )

    async def _follow(self, lookup: Lookup, hops: int, above: frozenset[Any]) -> Found | None:
        if len(self.draft.steps) >= MAX_STEPS:
            return None
        arguments: dict[str, Argument] = {}
        server = lookup.tool.server
        for name, value in lookup.arguments.items():
            ref = lookup.tool.param(name).ref
            deeper = hops - 1 if self._chance.random() < 0.75 else 0
            arguments[name] = (
                await self.ground(server, ref, value, deeper, above) if ref else Given(value)
            )
        step = self._step(lookup.tool, arguments, lookup.reply)
        return Found(step.id, lookup.leaf.pointer, lookup.leaf.value)

    def _step(self, tool: Tool, arguments: dict[str, Argument], reply: Reply) -> Step:
        values = {name: argument.value for name, argument in arguments.items()}
        for step in self.draft.steps:
            if step.tool.reads and _same_tool(step.tool, tool) and step.values == values:
                return step
        if len(self.draft.steps) >= MAX_STEPS:
            raise Unusable("too many steps")
        step = Step(f"c{len(self.draft.steps) + 1}", tool, arguments)
        self.draft.steps.append(step)
        self.tried[step.id] = reply
        if not tool.reads:
            for leaf in reply.leaves:
                if leaf.noun and leaf.noun == tool.makes:
                    self.made[tool.server, leaf.noun] = Found(step.id, leaf.pointer, leaf.value)
        return step

    def _seen(self, server: str, name: str, value: Any) -> Found | None:
        """A number that an earlier step brought under the same name is taken from there."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value < SMALL:
            return None
        for step in self.draft.steps:
            for leaf in self.tried[step.id].leaves if step.tool.server == server else ():
                if leaf.name == name and leaf.value == value:
                    return Found(step.id, leaf.pointer, value)
        return None


def _same_tool(one: Tool, other: Tool) -> bool:
    return one.name == other.name and one.server == other.server


def needed_for(draft: Draft, goals: Sequence[Goal]) -> frozenset[str]:
    """Ids of the calls that lead to these goals."""
    by_id = {step.id: step for step in draft.steps}
    needed: set[str] = set()
    todo = [x for goal in goals for x in (goal.target, *goal.others) if x]
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += by_id[name].needs
    return frozenset(needed)


def pruned(draft: Draft) -> Draft:
    """Without the steps that no goal needs."""
    needed = needed_for(draft, draft.goals)
    return Draft([step for step in draft.steps if step.id in needed], draft.goals, draft.replies)


def turns(draft: Draft) -> list[list[Step]]:
    """Steps side by side where nothing stands between them; writes one after the other."""
    level: dict[str, int] = {}
    last_write = -1
    for step in draft.steps:
        # A part of a conversation may refer to calls of the parts before it.
        at = max((level[name] + 1 for name in step.needs if name in level), default=0)
        if not step.tool.reads:
            at = max(at, last_write + 1)
            last_write = at
        level[step.id] = at
    made: list[list[Step]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for step in draft.steps:
        made[level[step.id]].append(step)
    # A read beside a write would see either state: writes get a turn of their own.
    split: list[list[Step]] = []
    for turn in made:
        reads = [step for step in turn if step.tool.reads]
        writes = [step for step in turn if not step.tool.reads]
        split += [part for part in (reads, writes) if part]
    return split


async def execute(draft: Draft, sitting: Sitting) -> None:
    """Makes every call of the plan, in order, on fresh states, and keeps what came back.

    Raises `Unusable` where a call fails, or brings another value than when it was tried.
    """
    draft.replies = {}
    for turn in turns(draft):
        for step in turn:
            reply = await sitting.call(step.tool, step.values)
            draft.replies[step.id] = reply
            for argument in step.arguments.values():
                if isinstance(argument, Found):
                    leaf = leaf_at(draft.replies[argument.call], argument.pointer)
                    if leaf is None or leaf.value != argument.value:
                        raise Unusable("a value changed on the way")
            wanted = any(goal.kind == "refused" and goal.target == step.id for goal in draft.goals)
            if bool(reply.error) != wanted:
                raise Unusable("a call ended otherwise when all were made in order")


def leaf_at(reply: Reply, pointer: str) -> Leaf | None:
    return next((leaf for leaf in reply.leaves if leaf.pointer == pointer), None)
