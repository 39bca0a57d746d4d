"""Accepted drafts as tasks: the words of a request, in the shape that the task has."""

from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any, Literal

from msgspec import Struct

from nexau.definitions.values import Saying, Task, User
from nexau.synth.tasks.acceptance import Verdict
from nexau.synth.tasks.fuzzy import fuzzified
from nexau.synth.tasks.goldplans import conversation, gold_plan
from nexau.synth.tasks.nouns import article, shown, spoken
from nexau.synth.tasks.personas import Persona
from nexau.synth.tasks.requests import joined, say
from nexau.synth.tasks.sitting import Sources
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Draft, Given
from nexau.synth.tasks.taskchecks import answer_of, check_form

Shape = Literal["plain", "fuzzy", "conversation", "staged", "chat", "alien"]


class Words(Struct, frozen=True):
    """What the user says."""

    parts: tuple[str, ...]
    """One for each goal."""
    text: str
    """All of it, in one message."""
    fuzzy: str = ""
    """The same with things left implicit, for the shape `fuzzy`."""
    opening: str = ""
    """What it is about and no more, for the shape `staged`; empty: the grammar's."""


class Story(Struct, frozen=True):
    """A draft that is accepted but for its words."""

    number: int
    draft: Draft
    shape: Shape
    difficulty: str
    leaf: tuple[str, ...]
    who: Persona
    words: Words
    """Those of the grammar."""
    answers: tuple[str, ...]
    states: Mapping[str, dict[str, Any]]
    """Checks of the worlds, by name."""
    answer: dict[str, Any]
    """Check of the answer."""
    needed: tuple[str, ...]
    distractors: tuple[str, ...]
    verdict: Verdict


def worded(
    draft: Draft, who: Persona, shape: Shape, today: date | None, chance: Random
) -> tuple[Words, tuple[str, ...]]:
    """The grammar's words, and the answers. Raises `Unusable` for what cannot be said clearly."""
    said = say(draft, who, chance)
    text = joined(said, who, chance)
    fuzzy = fuzzified(text, today, chance) if shape == "fuzzy" else ""
    return Words(said.parts, text, fuzzy), said.answers


def today_of(sources: Sources, names: tuple[str, ...]) -> date | None:
    """The day on which all these worlds are; None where they differ, or none has a day."""
    found = [sources.by_name[name] for name in names]
    days = {each.world.today[:10] for each in found if isinstance(each, WorldSource)}
    return date.fromisoformat(days.pop()) if len(days) == 1 else None


def told(story: Story, words: Words, sources: Sources, chance: Random) -> Task:
    """The task, without its id and metadata other than `original`."""
    several = len(sources) > 1
    check = check_form(story.states, story.answer, several=several)
    draft, text = story.draft, words.text
    plan = gold_plan(draft, " ".join(story.answers))
    servers = (*story.needed, *story.distractors) if several else ()
    if story.shape == "fuzzy":
        original = {"original": text}
        return Task(words.fuzzy, plan=plan, check=check, metadata=original, servers=servers)
    if story.shape == "staged":
        plan = {"turns": [], "answer": "What exactly do you need?", "then": [plan]}
        user = User(goal=text, says=(Saying(text),), expects=_expected(story.answer))
        return Task(
            words.opening or _opening(draft, chance), plan=plan, check=check, user=user,
            metadata={"original": text}, servers=servers,
        )  # fmt: skip
    if story.shape == "conversation":
        parts = [Draft(draft.steps, [goal], draft.replies) for goal in draft.goals]
        answers = [answer_of(sources, part) for part in parts]
        expected = [_expected(each) for each in answers]
        says = tuple(
            Saying(part, before)
            for part, before in zip(words.parts[1:], expected[:-1], strict=True)
        )
        user = User(goal=text, says=says, expects=expected[-1])
        last = check_form(story.states, answers[-1], several=several)
        return Task(
            words.parts[0], plan=conversation(draft, story.answers), check=last, user=user,
            metadata={"original": text}, servers=servers,
        )  # fmt: skip
    return Task(text, plan=plan, check=check, servers=servers)


def _opening(draft: Draft, chance: Random) -> str:
    """What the matter is about, and no more."""
    noun = article(spoken(draft.step(draft.goals[0].target).tool.noun or "matter"))
    again = f"{noun[0].upper()}{noun[1:]} again."
    return chance.choice((f"I need help with {noun}.", f"Hello, it is about {noun}.", again))


def _expected(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """What an answer has to hold, as a user expects it."""
    return tuple(answer.get("contains", ()))


def missing(draft: Draft, text: str) -> list[Any]:
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


def leaked(draft: Draft, text: str) -> list[Any]:
    """Facts of the answer that stand in the request."""
    return [
        fact.value
        for goal in draft.goals
        if goal.kind not in ("chat", "change")
        for fact in goal.facts
        if _stands_in(fact.value, text)
    ]


def _stands_in(value: Any, text: str) -> bool:
    wanted = str(value)
    return len(wanted) > 1 and wanted.casefold() in text.casefold()


def sources_met(draft: Draft) -> int:
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
