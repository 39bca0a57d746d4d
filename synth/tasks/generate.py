"""Tasks of sources by number: each is a pure function of (sources, seed, options, its number).

A number is tried several times; what is refused, and why, is counted. Near-duplicates are seen by
whoever puts the numbers in order, so that neither the order of the work nor the number of workers
shows in the result.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

import anyio.lowlevel
import msgspec
from msgspec import Struct

from nexau.definitions.values import Task
from nexau.synth.lineage import made_by, record, stamp
from nexau.synth.streams import stream
from nexau.synth.tasks.acceptance import Acceptance, Verdict, names_a_tool
from nexau.synth.tasks.across import ACROSS, MANY
from nexau.synth.tasks.building import Unusable
from nexau.synth.tasks.drafting import FUSED, Drafter, provenance
from nexau.synth.tasks.outside import alien, chat
from nexau.synth.tasks.personas import persona
from nexau.synth.tasks.sitting import Sources
from nexau.synth.tasks.source import Source
from nexau.synth.tasks.structs import Draft
from nexau.synth.tasks.taskchecks import answer_of, states_of
from nexau.synth.tasks.telling import (
    Shape,
    Story,
    Words,
    leaked,
    missing,
    sources_met,
    today_of,
    told,
    worded,
)
from nexau.synth.tasks.typetree import Drawn, TypeTree
from nexau.synth.worlds.checks import AnswerForm
from nexau.synth.worlds.state import Changes

TRIES = 40
WIDEN = 10
"""Tries after which one level of the problem type is let go."""
DIFFICULTIES = {"easy": 0.2, "medium": 0.5, "hard": 0.3}
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
    distractors: int = 2
    """Servers that a task does not need and that its agent has all the same, where there are so
    many.
    """


class Made(Struct, frozen=True):
    """What became of one number."""

    number: int
    task: Task | None
    refused: dict[str, int]
    """Reasons, and how many tries ended so."""
    verdict: Verdict = Verdict()
    unwritten: str = ""
    """Why a model's words were given up for the grammar's."""


class Generator:
    """The tasks of one desk of sources."""

    def __init__(self, sources: Sources | Source, settings: Settings) -> None:
        """Raises ValueError for sources of which no task can be made so."""
        self.sources = sources if isinstance(sources, Sources) else Sources([sources])
        self.settings = settings
        self._drafter = Drafter(self.sources)
        self._acceptance = Acceptance(self.sources)
        leaves = [each for each in self._drafter.leaves if self._is_wanted(each[2])]
        if not leaves:
            raise ValueError("nothing can be asked of these servers in this way")
        self.tree = TypeTree(leaves)
        self._drawn: list[Drawn] = []
        self.grown: dict[int, tuple[tuple[str, ...], str]] = {}
        """Nodes that a model proposed, and situations, by the number before which they grew."""
        self.situations: dict[tuple[str, ...], str] = {}
        """Of the nodes that have grown so far."""

    def _is_wanted(self, kind: str) -> bool:
        """Whether so many sources can meet in a problem of this kind."""
        fusion = self.settings.fusion
        if fusion == 1:
            return True
        if len(self.sources) == 1:
            return kind in (*FUSED, "change")
        return kind.startswith(ACROSS) and (fusion == 2 or kind.removeprefix(ACROSS) in MANY)

    def type_of(self, number: int) -> Drawn:
        """The problem type of a number: drawn in their order, whatever became of those before."""
        while len(self._drawn) <= number:
            grown = self.grown.get(len(self._drawn))
            if grown is not None:
                self.tree.grow(grown[0])
                self.situations[grown[0]] = grown[1]
            drawn = self.tree.draw(stream(self.settings.seed, "type", len(self._drawn)))
            self.tree.counts[drawn.leaf] += 1
            self._drawn.append(drawn)
        return self._drawn[number]

    async def make(self, number: int) -> Made:
        """The task of a number in the grammar's words, or why there is none."""
        story, refused = await self.story(number)
        if story is None:
            return Made(number, None, refused)
        return Made(number, self.tell(story, story.words), refused, story.verdict)

    async def story(self, number: int) -> tuple[Story | None, dict[str, int]]:
        """The draft of a number that was accepted, and why tries were refused."""
        seed = self.settings.seed
        fixed = stream(seed, "task", number)
        difficulty = fixed.choices(list(DIFFICULTIES), list(DIFFICULTIES.values()))[0]
        shape = fixed.choices(list(SHAPES), list(SHAPES.values()))[0]
        if self.settings.fusion > 1 and shape in ("chat", "alien", "conversation"):
            shape = "plain"
        drawn = self.type_of(number)
        refused: Counter[str] = Counter()
        for attempt in range(TRIES):
            await anyio.lowlevel.checkpoint()  # servers' connections may be on this loop too
            chance = stream(seed, "task", number, attempt)
            # What cannot be made as drawn is made of the nearest type that can.
            kept = drawn.kept[: max(0, len(drawn.kept) - attempt // WIDEN)]
            leaf = chance.choice(self.tree.within(kept))
            try:
                return await self._try(number, leaf, difficulty, shape, chance), dict(refused)
            except Unusable as error:
                refused[str(error)] += 1
        return None, dict(refused)

    async def _try(
        self, number: int, leaf: tuple[str, ...], difficulty: str, shape: Shape, chance: Random
    ) -> Story:
        fusion = self.settings.fusion
        changes: Mapping[str, Mapping[str, Changes]] = {}
        if shape in ("chat", "alien"):
            needed, distractors = self._beside((), chance)
            draft = chat(chance) if shape == "chat" else self._alien(distractors, chance)
            leaf = (leaf[0], "outside", shape, "")
        else:
            draft, changes = await self._drafter.draft(leaf[2], leaf[3], difficulty, fusion, chance)
            servers = list(dict.fromkeys(step.tool.server for step in draft.steps))
            needed, distractors = self._beside(servers, chance)
        asked = [(goal.kind, goal.target, goal.field, goal.facts) for goal in draft.goals]
        if any(asked.count(each) > 1 for each in asked):
            raise Unusable("one thing is asked for twice")
        if fusion > 1 and sources_met(draft) < fusion:
            raise Unusable("too few sources meet")
        if shape == "conversation" and len(draft.goals) < 2:
            shape = "staged"
        who = persona(chance)
        words, answers = worded(draft, who, shape, today_of(self.sources, needed), chance)
        faults = self.faults(draft, words.text)
        if faults:
            raise Unusable(faults[0])
        states = states_of(self.sources, (*needed, *distractors), changes)
        answer = answer_of(self.sources, draft)
        form = msgspec.convert(answer, AnswerForm)
        verdict = await self._acceptance.verdict(draft, answers, states, form, chance)
        if verdict.reason:
            raise Unusable(verdict.reason)
        return Story(
            number, draft, shape, difficulty, leaf, who, words, answers, states, answer, needed,
            distractors, verdict,
        )  # fmt: skip

    def _alien(self, servers: Sequence[str], chance: Random) -> Draft:
        tools = [tool for name in servers for tool in self.sources.tools_of(name)]
        draft = alien(tools, chance)
        if draft is None:
            raise Unusable("every wish comes near to a tool")
        return draft

    def _beside(
        self, needed: Sequence[str], chance: Random
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The servers that a task needs, and those that stand beside them."""
        names = list(self.sources.by_name)
        if len(names) == 1:
            return tuple(names), ()
        others = [name for name in names if name not in needed]
        least = 0 if needed else 1
        count = min(len(others), max(least, self.settings.distractors))
        return tuple(needed), tuple(chance.sample(others, count))

    def faults(self, draft: Draft, text: str) -> list[str]:
        """What is wrong with a request's words."""
        used = frozenset(step.tool.shown for step in draft.steps)
        found: list[str] = []
        if names_a_tool(text, self.sources.tools, used) is not None:
            found.append("the request names a tool")
        if missing(draft, text):
            found.append("the request lacks a value that the plan takes from it")
        if leaked(draft, text):
            found.append("the request holds its answer")
        return found

    def tell(self, story: Story, words: Words, writer: str = "grammar") -> Task:
        """The task of a story in these words."""
        settings, number = self.settings, story.number
        task = told(story, words, self.sources, stream(settings.seed, "telling", number))
        metadata: dict[str, Any] = {
            "persona": story.who.text,
            "difficulty": story.difficulty,
            "type": list(story.leaf),
            "shape": story.shape,
            "servers": list(story.needed),
            "tags": sorted({goal.kind for goal in story.draft.goals}),
            "sources": sources_met(story.draft),
            "arguments": provenance(story.draft.steps),
            **task.metadata,
        }
        if len(self.sources) > 1:
            metadata["distractors"] = list(story.distractors)
            metadata["calls"] = {
                step.id: f"{step.tool.server}/{step.tool.name}" for step in story.draft.steps
            }
        if writer != "grammar":
            metadata["writer"] = writer
        made = made_by("nexau synth tasks", **options_of(settings), number=number)
        core = {"input": task.input, "plan": task.plan, "check": task.check}
        name = f"{label_of(self.sources.by_name)}-{number:05}"
        names = story.needed or story.distractors
        parents = tuple(self.sources.by_name[each].identity for each in names)
        lineage = record("task", core, parents, made, name=name)
        return msgspec.structs.replace(task, id=name, metadata=stamp(metadata, lineage))


def label_of(names: Iterable[str]) -> str:
    """What the ids of tasks of these sources begin with."""
    listed = list(names)
    joined = "+".join(listed)
    return joined if len(joined) <= MAX_LABEL else f"{len(listed)}-servers"


def options_of(settings: Settings) -> dict[str, int]:
    """As the lineage of a task tells them."""
    return {
        "seed": settings.seed,
        "fusion": settings.fusion,
        "distractors": settings.distractors,
    }


MAX_LABEL = 48
