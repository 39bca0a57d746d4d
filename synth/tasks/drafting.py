"""From a problem type to a draft: targets are tried on a state, then grounded in lookups."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nexau.synth.tasks import goals
from nexau.synth.tasks.across import ACROSS, Across, can_resolve
from nexau.synth.tasks.attempts import Attempts
from nexau.synth.tasks.building import Builder, Unusable, execute, pruned
from nexau.synth.tasks.live import LiveSource
from nexau.synth.tasks.lookups import Lookups
from nexau.synth.tasks.sitting import Prober, Sitting, Sources
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Draft, Given, Goal, Reply, Step, Tool
from nexau.synth.worlds.state import Changes

FUSED = ("compare", "total", "constrain", "contradict", "resolve")
MEET = {
    "constrain": goals.constrained,
    "contradict": goals.contradicted,
    "resolve": goals.resolved,
}
HOPS = {"easy": 0, "medium": 1, "hard": 3}
GOALS = {"easy": (1, 1), "medium": (1, 2), "hard": (2, 4)}


def problem_types(source: WorldSource) -> list[tuple[str, ...]]:
    """Leaves of the tree: domain, noun, kind, tool."""
    found: list[tuple[str, ...]] = []
    for tool in source.tools.values():
        path = (source.domain, tool.noun or "general")
        if not tool.reads:
            found.append((*path, "change", tool.shown))
            if source.world.form.tools[tool.name].rules:
                found.append((*path, "refused", tool.shown))
            continue
        found.append((*path, "look", tool.shown))
        output = source.world.tools[tool.name].body.output
        if output.find is not None or output.lists:
            found += [(*path, kind, tool.shown) for kind in ("count", "most")]
        if not any(param.ref for param in tool.params):
            continue
        if output.find is not None:
            found.append((*path, "constrain", tool.shown))
            continue
        kinds = ["compare", "total", "contradict"]
        if can_resolve(source.shape(tool.name).fields):
            kinds.append("resolve")
        found += [(*path, kind, tool.shown) for kind in kinds]
    return found


class Drafter:
    """Makes drafts over the sources of one desk."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._lookups: dict[str, Lookups] = {}
        self._probers: dict[str, Prober] = {}
        leaves: list[tuple[str, ...]] = []
        for name, source in sources.by_name.items():
            if isinstance(source, WorldSource):
                self._lookups[name] = Lookups(source)
                self._probers[name] = Attempts(source)
                leaves += problem_types(source)
            else:
                assert isinstance(source, LiveSource)
                self._probers[name] = source
                leaves += source.types()
        self._across = Across(sources, self._probers)
        self.leaves = [*leaves, *self._across.types()]

    async def draft(
        self, kind: str, tool: str, difficulty: str, fusion: int, chance: Random
    ) -> tuple[Draft, dict[str, Mapping[str, Changes]]]:
        """One draft, executed as a whole on fresh states, and what that changed, by source.

        Raises `Unusable`.
        """
        builder = Builder(self._lookups, chance)
        hops = HOPS[difficulty]
        with self.sources.sit() as session:
            await self._goal(builder, session, kind, self.sources.tools[tool], hops, fusion, chance)
            least, most = GOALS[difficulty]
            for _ in range(chance.randint(least, most) - 1):
                if kind in ("refused", *FUSED):
                    break
                await self._further(builder, session, hops, chance)
        draft = pruned(builder.draft)
        with self.sources.sit() as session:
            await execute(draft, session)
            changes = session.changes()
        for step in draft.steps:
            if draft.replies[step.id].body != builder.tried[step.id].body:
                raise Unusable("a result changed on the way")
        return draft, changes

    async def _goal(
        self,
        builder: Builder,
        session: Sitting,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> None:
        if kind.startswith(ACROSS):
            await self._across.goal(builder, session, kind, tool, hops, max(2, fusion), chance)
        elif kind == "change":
            await self._change(builder, session, tool, hops, chance)
        elif kind == "refused":
            await self._refused(builder, session, tool, hops, chance)
        elif kind in FUSED:
            await self._fused(builder, session, kind, tool, hops, max(2, fusion), chance)
        else:
            await self._read(builder, session, kind, tool, hops, chance)

    async def _change(
        self, builder: Builder, session: Sitting, tool: Tool, hops: int, chance: Random
    ) -> None:
        known = {noun: f.value for (name, noun), f in builder.made.items() if name == tool.server}
        attempt = await self._probers[tool.server].succeed(session, tool, chance, known)
        if attempt is None:
            raise Unusable("no call succeeded")
        step = await builder.add(attempt, hops)
        builder.draft.goals.append(goals.change(step, attempt.reply, chance))

    async def _refused(
        self, builder: Builder, session: Sitting, tool: Tool, hops: int, chance: Random
    ) -> None:
        attempt = await self._probers[tool.server].refused(session, tool, chance)
        if attempt is None:
            raise Unusable("no rule refused")
        step = await builder.add(attempt, hops)
        builder.draft.goals.append(Goal("refused", step.id))

    async def _read(
        self,
        builder: Builder,
        session: Sitting,
        kind: str,
        tool: Tool,
        hops: int,
        chance: Random,
    ) -> None:
        for _ in range(6):
            attempt = await self._probers[tool.server].succeed(session, tool, chance, {})
            if attempt is None:
                break
            step = Step("", tool, {n: Given(v) for n, v in attempt.arguments.items()})
            if _asked(kind, step, attempt.reply, Random(0)) is None:
                continue
            step = await builder.add(attempt, hops)
            goal = _asked(kind, step, attempt.reply, chance)
            if goal is not None:
                builder.draft.goals.append(goal)
                return
        raise Unusable(f"nothing to ask ({kind})")

    async def _fused(
        self,
        builder: Builder,
        session: Sitting,
        kind: str,
        tool: Tool,
        hops: int,
        fusion: int,
        chance: Random,
    ) -> None:
        steps: list[Step] = []
        replies: dict[str, Reply] = {}
        wanted = fusion if kind in ("compare", "total") else 2
        paired = kind in ("contradict", "resolve")
        for _ in range(4 * wanted):
            now = self._kin(tool, steps, chance) if paired and steps else tool
            known = _keys(steps) if paired else {}
            attempt = await self._probers[tool.server].succeed(session, now, chance, known)
            if attempt is None:
                break
            step = await builder.add(attempt, hops)
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
            goal = MEET[kind](steps[0], steps[1], replies, chance)
        if goal is None:
            raise Unusable(f"nothing to ask ({kind})")
        builder.draft.goals.append(goal)

    def _kin(self, tool: Tool, steps: Sequence[Step], chance: Random) -> Tool:
        """Another reading tool on a row that the first one's result names."""
        source = self.sources.of(tool)
        if not isinstance(source, WorldSource):
            return tool
        nouns = {param.ref for param in tool.params if param.ref}
        shapes = source.world.entities
        for noun in tuple(nouns):
            nouns |= {named for _, named in shapes[noun].shape.references.values()}
        kin = [
            other
            for other in source.tools.values()
            if other.reads
            and other.name != tool.name
            and any(param.ref in nouns for param in other.params if param.ref)
        ]
        return chance.choice(kin) if kin else tool

    async def _further(self, builder: Builder, session: Sitting, hops: int, chance: Random) -> None:
        """One more goal; best one that goes on with what was just made."""
        made = set(builder.made)
        within = {step.tool.server for step in builder.draft.steps}
        own = [tool for tool in self.sources.tools.values() if tool.server in within]
        tools = [tool for tool in own if not tool.reads]
        following = [t for t in tools if any((t.server, p.ref) in made for p in t.params)]
        chance.shuffle(following)
        chance.shuffle(tools)
        readers = [tool for tool in own if tool.reads]
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
    found = goals.look(step, reply, chance) or goals.look_row(step, reply, chance)
    return found or goals.look_text(step, reply, chance)


def provenance(steps: Sequence[Step]) -> dict[str, Any]:
    """Where each argument came from, by call and parameter."""
    return {
        f"{step.id}.{name}": "request"
        if isinstance(argument, Given)
        else f"{argument.call}{argument.pointer}"
        for step in steps
        for name, argument in step.arguments.items()
    }
