"""From a problem type to a draft: targets are tried on a state, then grounded in lookups."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nexau.synth.tasks import goals
from nexau.synth.tasks.attempts import Attempts
from nexau.synth.tasks.building import Builder, Unusable, execute, pruned
from nexau.synth.tasks.lookups import Lookups
from nexau.synth.tasks.source import Session, WorldSource
from nexau.synth.tasks.structs import Draft, Given, Goal, Reply, Step, Tool
from nexau.synth.worlds.state import Changes

FUSED = ("compare", "total", "constrain", "contradict")
HOPS = {"easy": 0, "medium": 1, "hard": 3}
GOALS = {"easy": (1, 1), "medium": (1, 2), "hard": (2, 4)}


def problem_types(source: WorldSource) -> list[tuple[str, ...]]:
    """Leaves of the tree: domain, noun, kind, tool."""
    domain = next(iter(source.world.form.tags), source.name)
    found: list[tuple[str, ...]] = []
    for tool in source.tools.values():
        noun = tool.noun or "general"
        if not tool.reads:
            found.append((domain, noun, "change", tool.name))
            if source.world.form.tools[tool.name].rules:
                found.append((domain, noun, "refused", tool.name))
            continue
        found.append((domain, noun, "look", tool.name))
        output = source.world.tools[tool.name].body.output
        if output.find is not None or output.lists:
            found += [(domain, noun, kind, tool.name) for kind in ("count", "most")]
        if not any(param.ref for param in tool.params):
            continue
        fused = ("constrain",) if output.find is not None else ("compare", "total", "contradict")
        found += [(domain, noun, kind, tool.name) for kind in fused]
    return found


class Drafter:
    """Makes drafts over one world."""

    def __init__(self, source: WorldSource) -> None:
        self.source = source
        self._lookups = Lookups(source)
        self._attempts = Attempts(source)

    async def draft(
        self, kind: str, tool: str, difficulty: str, fusion: int, chance: Random
    ) -> tuple[Draft, Mapping[str, Changes]]:
        """One draft, executed as a whole on a fresh session, and what that changed.

        Raises `Unusable`.
        """
        builder = Builder(self._lookups, chance)
        hops = HOPS[difficulty]
        async with self.source.open() as session:
            await self._goal(builder, session, kind, self.source.tools[tool], hops, fusion, chance)
            least, most = GOALS[difficulty]
            for _ in range(chance.randint(least, most) - 1):
                if kind in ("refused", *FUSED):
                    break
                await self._further(builder, session, hops, chance)
        draft = pruned(builder.draft)
        async with self.source.open() as session:
            await execute(draft, session)
            changes = session.changes()
        for step in draft.steps:
            if draft.replies[step.id].body != builder.tried[step.id].body:
                raise Unusable("a result changed on the way")
        return draft, changes

    async def _goal(
        self,
        builder: Builder,
        session: Session,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> None:
        if kind == "change":
            await self._change(builder, session, tool, hops, chance)
        elif kind == "refused":
            await self._refused(builder, session, tool, hops, chance)
        elif kind in FUSED:
            await self._fused(builder, session, kind, tool, hops, max(2, fusion), chance)
        else:
            await self._read(builder, session, kind, tool, hops, chance)

    async def _change(
        self, builder: Builder, session: Session, tool: Tool, hops: int, chance: Random
    ) -> None:
        known = {noun: found.value for noun, found in builder.made.items()}
        attempt = await self._attempts.succeed(session, tool, chance, known)
        if attempt is None:
            raise Unusable("no call succeeded")
        step = await builder.add(tool, attempt.arguments, attempt.reply, hops)
        builder.draft.goals.append(goals.change(step, attempt.reply, chance))

    async def _refused(
        self, builder: Builder, session: Session, tool: Tool, hops: int, chance: Random
    ) -> None:
        attempt = await self._attempts.refused(session, tool, chance)
        if attempt is None:
            raise Unusable("no rule refused")
        step = await builder.add(tool, attempt.arguments, attempt.reply, hops)
        builder.draft.goals.append(Goal("refused", step.id, detail=self.source.world.today))

    async def _read(
        self,
        builder: Builder,
        session: Session,
        kind: str,
        tool: Tool,
        hops: int,
        chance: Random,
    ) -> None:
        for _ in range(6):
            attempt = await self._attempts.succeed(session, tool, chance, {})
            if attempt is None:
                break
            step = Step("", tool, {n: Given(v) for n, v in attempt.arguments.items()})
            if _asked(kind, step, attempt.reply, Random(0)) is None:
                continue
            step = await builder.add(tool, attempt.arguments, attempt.reply, hops)
            goal = _asked(kind, step, attempt.reply, chance)
            if goal is not None:
                builder.draft.goals.append(goal)
                return
        raise Unusable(f"nothing to ask ({kind})")

    async def _fused(
        self,
        builder: Builder,
        session: Session,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> None:
        steps: list[Step] = []
        replies: dict[str, Reply] = {}
        wanted = 2 if kind in ("constrain", "contradict") else fusion
        for _ in range(4 * wanted):
            now = self._kin(tool, steps, chance) if kind == "contradict" and steps else tool
            known = _keys(steps) if kind == "contradict" else {}
            attempt = await self._attempts.succeed(session, now, chance, known)
            if attempt is None:
                break
            step = await builder.add(now, attempt.arguments, attempt.reply, hops)
            if step.id not in replies:
                steps.append(step)
                replies[step.id] = attempt.reply
            if len(steps) == wanted:
                break
        if len(steps) < wanted:
            raise Unusable("too few branches")
        if kind in ("compare", "total"):
            goal = (goals.compare if kind == "compare" else goals.total)(steps, replies, chance)
        else:
            meet = goals.constrained if kind == "constrain" else goals.contradicted
            goal = meet(steps[0], steps[1], replies, chance)
        if goal is None:
            raise Unusable(f"nothing to ask ({kind})")
        builder.draft.goals.append(goal)

    def _kin(self, tool: Tool, steps: Sequence[Step], chance: Random) -> Tool:
        """Another reading tool on a row that the first one's result names."""
        nouns = {param.ref for param in tool.params if param.ref}
        shapes = self.source.world.entities
        for noun in tuple(nouns):
            nouns |= {named for _, named in shapes[noun].shape.references.values()}
        kin = [
            other
            for other in self.source.tools.values()
            if other.reads
            and other.name != tool.name
            and any(param.ref in nouns for param in other.params if param.ref)
        ]
        return chance.choice(kin) if kin else tool

    async def _further(self, builder: Builder, session: Session, hops: int, chance: Random) -> None:
        """One more goal; best one that goes on with what was just made."""
        made = set(builder.made)
        tools = [tool for tool in self.source.tools.values() if not tool.reads]
        following = [tool for tool in tools if any(p.ref in made for p in tool.params if p.ref)]
        chance.shuffle(following)
        chance.shuffle(tools)
        readers = [tool for tool in self.source.tools.values() if tool.reads]
        chance.shuffle(readers)
        choices = [*following[:2], *tools[:2]] if chance.random() < 0.6 else []
        for tool in [*choices, *readers[:3]]:
            before = len(builder.draft.steps), len(builder.draft.goals)
            try:
                if tool.reads:
                    kind = chance.choice(("look", "look", "count", "most"))
                    if any(not step.tool.reads for step in builder.draft.steps):
                        continue
                    await self._read(builder, session, kind, tool, hops, chance)
                else:
                    await self._change(builder, session, tool, hops, chance)
            except Unusable:
                del builder.draft.steps[before[0] :]
                del builder.draft.goals[before[1] :]
                continue
            return


def _keys(steps: Sequence[Step]) -> dict[str, Any]:
    """Keys that the steps take, by noun."""
    return {
        step.tool.param(name).ref: argument.value
        for step in steps
        for name, argument in step.arguments.items()
        if step.tool.param(name).ref
    }


def _asked(kind: str, step: Step, reply: Reply, chance: Random) -> Goal | None:
    if kind == "count":
        return goals.count(step, reply, chance)
    if kind == "most":
        return goals.most(step, reply, chance)
    return goals.look(step, reply, chance) or goals.look_row(step, reply, chance)


def provenance(steps: Sequence[Step]) -> dict[str, Any]:
    """Where each argument came from, by call and parameter."""
    return {
        f"{step.id}.{name}": "request"
        if isinstance(argument, Given)
        else f"{argument.call}{argument.pointer}"
        for step in steps
        for name, argument in step.arguments.items()
    }
