"""Tasks of a world by number: each is a pure function of (world, seed, options, its number).

A number is tried several times; what is refused, and why, is counted. Near-duplicates are seen by
whoever puts the numbers in order, so that neither the order of the work nor the number of workers
shows in the result.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any, Literal

from msgspec import Struct

from nexau.definition import Saying, Task, User
from nexau.synth.lineage import content_id, made_by, record, stamp
from nexau.synth.streams import stream
from nexau.synth.tasks.acceptance import Acceptance, Verdict, names_a_tool
from nexau.synth.tasks.building import Unusable
from nexau.synth.tasks.drafting import FUSED, Drafter, problem_types, provenance
from nexau.synth.tasks.fuzzy import fuzzified
from nexau.synth.tasks.goldplans import conversation, gold_plan
from nexau.synth.tasks.nouns import article, shown, spoken
from nexau.synth.tasks.outside import alien, chat
from nexau.synth.tasks.personas import persona
from nexau.synth.tasks.requests import Said, joined, say
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Draft, Given
from nexau.synth.tasks.taskchecks import check_of
from nexau.synth.tasks.typetree import Drawn, TypeTree
from nexau.synth.worlds.checks import compile_check
from nexau.synth.worlds.state import Changes

TRIES = 40
WIDEN = 10
"""Tries after which one level of the problem type is let go."""
DIFFICULTIES = {"easy": 0.2, "medium": 0.5, "hard": 0.3}
Shape = Literal["plain", "fuzzy", "conversation", "staged", "chat", "alien"]
SHAPES: Mapping[Shape, float] = {
    "plain": 0.58,
    "fuzzy": 0.14,
    "conversation": 0.12,
    "staged": 0.06,
    "chat": 0.05,
    "alien": 0.05,
}


class Settings(Struct, frozen=True):
    """What was asked for."""

    seed: int = 7
    fusion: int = 1
    """How many sources have to meet in a task."""


class Made(Struct, frozen=True):
    """What became of one number."""

    number: int
    task: Task | None
    refused: dict[str, int]
    """Reasons, and how many tries ended so."""
    verdict: Verdict = Verdict()
    key: str = ""
    """What is compared for near-duplicates."""


class Generator:
    """The tasks of one world."""

    def __init__(self, source: WorldSource, settings: Settings) -> None:
        self.source = source
        self.settings = settings
        self.world_id = content_id("world", source.world.form)
        self._drafter = Drafter(source)
        self._acceptance = Acceptance(source)
        types = problem_types(source)
        if settings.fusion > 1:
            types = [each for each in types if each[2] in (*FUSED, "change")]
        self._tree = TypeTree(types)
        self._drawn: list[Drawn] = []

    def type_of(self, number: int) -> Drawn:
        """The problem type of a number: drawn in their order, whatever became of those before."""
        while len(self._drawn) <= number:
            drawn = self._tree.draw(stream(self.settings.seed, "type", len(self._drawn)))
            self._tree.counts[drawn.leaf] += 1
            self._drawn.append(drawn)
        return self._drawn[number]

    async def make(self, number: int) -> Made:
        """The task of a number, or why there is none."""
        seed = self.settings.seed
        fixed = stream(seed, "task", number)
        difficulty = fixed.choices(list(DIFFICULTIES), list(DIFFICULTIES.values()))[0]
        shape = fixed.choices(list(SHAPES), list(SHAPES.values()))[0]
        drawn = self.type_of(number)
        refused: Counter[str] = Counter()
        for attempt in range(TRIES):
            chance = stream(seed, "task", number, attempt)
            try:
                made = await self._try(number, attempt, drawn, difficulty, shape, chance)
            except Unusable as error:
                refused[str(error)] += 1
                continue
            return Made(number, made[0], dict(refused), made[1], made[2])
        return Made(number, None, dict(refused))

    async def _try(
        self,
        number: int,
        attempt: int,
        drawn: Drawn,
        difficulty: str,
        shape: Shape,
        chance: Random,
    ) -> tuple[Task, Verdict, str]:
        # What cannot be made as drawn is made of the nearest type that can.
        kept = drawn.kept[: max(0, len(drawn.kept) - attempt // WIDEN)]
        leaf = chance.choice(self._tree.within(kept))
        fusion = self.settings.fusion
        changes: Mapping[str, Changes] = {}
        if fusion > 1 and shape in ("chat", "alien", "conversation"):
            shape = "plain"
        if shape in ("chat", "alien"):
            draft = chat(chance) if shape == "chat" else alien(self.source.tools, chance)
            leaf = (leaf[0], "outside", shape, "")
            if draft is None:
                raise Unusable("every wish comes near to a tool")
        else:
            draft, changes = await self._drafter.draft(leaf[2], leaf[3], difficulty, fusion, chance)
        if fusion > 1 and sources(draft) < fusion:
            raise Unusable("too few sources meet")
        who = persona(chance)
        said = say(draft, who, chance)
        text = joined(said, who, chance)
        self._vet(draft, said, text)
        check = check_of(self.source.world, draft, changes)
        verdict = self._acceptance.verdict(
            draft, said.answers, compile_check(self.source.world, check), chance
        )
        if verdict.reason:
            raise Unusable(verdict.reason)
        if shape == "conversation" and len(draft.goals) < 2:
            shape = "staged"
        task = self._shaped(shape, draft, said, text, check, changes, chance)
        metadata: dict[str, Any] = {
            "persona": who.text,
            "difficulty": difficulty,
            "type": list(leaf),
            "shape": shape,
            "servers": [self.source.name],
            "tags": sorted({goal.kind for goal in draft.goals}),
            "sources": sources(draft),
            "arguments": provenance(draft.steps),
        }
        if task.metadata:
            metadata |= task.metadata
        return self._finished(number, task, metadata), verdict, text

    def _vet(self, draft: Draft, said: Said, text: str) -> None:
        used = frozenset(step.tool.name for step in draft.steps)
        if names_a_tool(text, self.source.tools, used) is not None:
            raise Unusable("the request names a tool")
        if unsaid(draft, text):
            raise Unusable("the request lacks a value that the plan takes from it")
        for goal in draft.goals:
            for fact in goal.facts:
                if goal.kind not in ("chat", "change") and _stands_in(fact.value, text):
                    raise Unusable("the request holds its answer")

    def _shaped(
        self,
        shape: Shape,
        draft: Draft,
        said: Said,
        text: str,
        check: dict[str, Any],
        changes: Mapping[str, Changes],
        chance: Random,
    ) -> Task:
        answer = " ".join(said.answers)
        plan = gold_plan(draft, answer)
        if shape == "fuzzy":
            today = date.fromisoformat(self.source.world.today[:10])
            fuzzy = fuzzified(text, today, chance)
            return Task(fuzzy, plan=plan, check=check, metadata={"original": text})
        if shape == "staged":
            noun = article(spoken(draft.step(draft.goals[0].target).tool.noun or "matter"))
            again = f"{noun[0].upper()}{noun[1:]} again."
            first = chance.choice(
                (f"I need help with {noun}.", f"Hello, it is about {noun}.", again)
            )
            opening = {"turns": [], "answer": "What exactly do you need?"}
            user = User(goal=text, says=(Saying(text),), expects=_expected(check))
            plan = opening | {"then": [plan]}
            return Task(first, plan=plan, check=check, user=user, metadata={"original": text})
        if shape == "conversation":
            parts = [Draft(draft.steps, [goal], draft.replies) for goal in draft.goals]
            checks = [check_of(self.source.world, part, changes) for part in parts]
            expected = [_expected(each) for each in checks]
            says = tuple(
                Saying(part, before)
                for part, before in zip(said.parts[1:], expected[:-1], strict=True)
            )
            user = User(goal=text, says=says, expects=expected[-1])
            last = {**check, **({"answer": checks[-1]["answer"]} if expected[-1] else {})}
            if not expected[-1]:
                last.pop("answer", None)
            plan = conversation(draft, said.answers)
            first = said.parts[0]
            return Task(first, plan=plan, check=last, user=user, metadata={"original": text})
        return Task(text, plan=plan, check=check)

    def _finished(self, number: int, task: Task, metadata: dict[str, Any]) -> Task:
        settings = self.settings
        made = made_by(
            "nexau synth tasks", seed=settings.seed, fusion=settings.fusion, number=number
        )
        core = {"input": task.input, "plan": task.plan, "check": task.check}
        name = f"{self.source.name}-{number:05}"
        lineage = record("task", core, (self.world_id,), made, name=name)
        return Task(
            task.input,
            name,
            plan=task.plan,
            metadata=stamp(metadata, lineage),
            check=task.check,
            user=task.user,
        )


def sources(draft: Draft) -> int:
    """How many calls that need no other meet in the goal that takes the most of them."""
    roots = {step.id for step in draft.steps if not step.needs}
    by_id = {step.id: step for step in draft.steps}

    def below(name: str) -> frozenset[str]:
        step = by_id[name]
        own = {name} if name in roots and step.tool.reads else set()
        return frozenset(own).union(*[below(each) for each in step.needs])

    found = [
        len(frozenset().union(*[below(x) for x in (goal.target, *goal.others) if x]))
        for goal in draft.goals
    ]
    return max(found, default=0)


def unsaid(draft: Draft, text: str) -> list[Any]:
    """Values that the plan takes from the request and that do not stand in it."""
    folded = text.casefold()
    given = [
        value
        for step in draft.steps
        for argument in step.arguments.values()
        if isinstance(argument, Given)
        for value in (argument.value if isinstance(argument.value, list) else [argument.value])
    ]
    return [
        value
        for value in given
        if str(value).casefold() not in folded and shown(value).casefold() not in folded
    ]


def _expected(check: Mapping[str, Any]) -> tuple[str, ...]:
    """What an answer has to hold, as a user expects it."""
    return tuple(check.get("answer", {}).get("contains", ()))


def _stands_in(value: Any, text: str) -> bool:
    wanted = str(value)
    return len(wanted) > 1 and wanted.casefold() in text.casefold()
