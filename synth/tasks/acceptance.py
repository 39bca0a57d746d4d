"""Whether a task is one: its plan does it, nothing does not, and no part of the plan is idle."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nexau.models.base import ToolMessage
from nexau.models.gold import Reference, Unresolved, follow, resolve_text
from nexau.synth.similarity import Vector, cosine, vector
from nexau.synth.tasks.building import turns
from nexau.synth.tasks.goals import computed, worked_out
from nexau.synth.tasks.lookups import natural
from nexau.synth.tasks.nouns import spoken
from nexau.synth.tasks.sitting import Sitting, Sources
from nexau.synth.tasks.source import WorldSession, WorldSource
from nexau.synth.tasks.structs import Draft, Found, Given, Goal, Reply, Step, Tool
from nexau.synth.worlds.checks import AnswerForm, ChangeForm, Check, CheckForm, compile_check
from nexau.synth.worlds.evaluate import answer_findings, evaluate
from nexau.transports.protocol import Text

LEAKS = 0.8
"""Similarity of the request to a tool's description from which on it names the tool."""


class Verdict(Struct, frozen=True):
    """What acceptance found."""

    reason: str = ""
    """Why it is refused; empty: accepted."""
    deletions: int = 0
    perturbations: int = 0
    equivalent: int = 0
    """Variants that reach the same final state and the same answer."""


class Acceptance:
    """The tests of one task over its sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def verdict(
        self,
        draft: Draft,
        answers: Sequence[str],
        states: Mapping[str, Mapping[str, Any]],
        answer: AnswerForm,
        chance: Random,
    ) -> Verdict:
        """Plays the plan and every variant of it, each on states of its own. `states` are checks of
        worlds by source, `answer` is that of the answer.
        """
        asked = _Asked({name: self._compiled(name, form) for name, form in states.items()}, answer)
        with self._sources.sit() as sitting:
            reached = await self._play(draft, answers, sitting)
            if not self._passes(asked, reached):
                return Verdict("the plan does not pass its check")
            with self._sources.sit() as untouched:
                if self._passes(asked, _End(untouched, "", {})):
                    return Verdict("doing nothing passes")
            counts = {"deletions": 0, "perturbations": 0, "equivalent": 0}
            for what, variant, without in self._variants(draft, chance):
                counts[what] += 1
                with self._sources.sit() as other:
                    end = await self._play(variant, answers, other, without)
                    if self._passes(asked, end):
                        if not self._same(reached, end):
                            return Verdict(f"one of the {what} passes")
                        counts["equivalent"] += 1
            return Verdict("", **counts)

    def _compiled(self, name: str, form: Mapping[str, Any]) -> Check:
        source = self._sources.by_name[name]
        assert isinstance(source, WorldSource)
        return compile_check(source.world, form)

    def _variants(
        self, draft: Draft, chance: Random
    ) -> Iterator[tuple[str, Draft, frozenset[str]]]:
        for step in draft.steps:
            yield "deletions", draft, frozenset({step.id})
        for step in draft.steps:
            for name, argument in step.arguments.items():
                if isinstance(argument, Found):
                    continue
                other = self._other(step.tool, name, argument, chance)
                if other is not None:
                    yield "perturbations", _with(draft, step, name, other), frozenset()

    def _other(self, tool: Tool, name: str, argument: Given, chance: Random) -> Any:
        """Another value that the parameter could have."""
        param, value = tool.param(name), argument.value
        if param.values:
            left = [each for each in param.values if each != value]
            return chance.choice(left) if left else None
        source = self._sources.of(tool)
        if param.ref and isinstance(source, WorldSource):
            key, rows = source.world.entities[param.ref].shape.key, source.rows(param.ref)
            keys = [row[key] for row in chance.sample(rows, min(2, len(rows)))]
            return next((each for each in keys if each != value), None)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int | float):
            return value + 1
        if isinstance(value, str) and tool.reads and isinstance(source, WorldSource):
            rows = source.rows(tool.noun) if tool.noun in source.world.entities else []
            found = natural(chance.choice(rows)) if rows else None
            return found if found != value else None
        return f"{value} and more" if isinstance(value, str) and argument.fixed else None

    async def _play(
        self,
        draft: Draft,
        answers: Sequence[str],
        sitting: Sitting,
        without: frozenset[str] = frozenset(),
    ) -> "_End":
        """Plays a plan and answers as one would who saw these results and no others."""
        replies, stuck = await _played(draft, sitting, without)
        results = {name: _message(name, reply) for name, reply in replies.items()}
        said: list[str] = []
        for goal, answer in zip(draft.goals, answers, strict=True):
            if computed(goal) or goal.kind == "refused":
                said.append(_seen(goal, replies))
            elif not stuck:
                try:
                    said.append(resolve_text(answer, results))
                except Unresolved:
                    stuck = True
        return _End(sitting, " ".join(said), self._touched(draft, replies))

    def _touched(self, draft: Draft, replies: Mapping[str, Reply]) -> dict[str, frozenset[str]]:
        """Entities that the plan's writes can have changed, by source."""
        found: dict[str, frozenset[str]] = {}
        for step in draft.steps:
            reply = replies.get(step.id)
            source = self._sources.of(step.tool)
            if reply is None or reply.error or not isinstance(source, WorldSource):
                continue
            touched = source.writes[step.tool.name]
            if touched:
                found[source.name] = found.get(source.name, frozenset()) | touched
        return found

    def _passes(self, asked: "_Asked", end: "_End") -> bool:
        if not all(each.passed for each in answer_findings(asked.answer, end.answer)):
            return False
        return all(self._holds(name, check, end) for name, check in asked.states.items())

    def _holds(self, name: str, check: Check, end: "_End") -> bool:
        source = self._sources.by_name[name]
        assert isinstance(source, WorldSource)
        session = end.sitting.opened.get(name)
        touched = end.touched.get(name, frozenset())
        if not self._changed_so(source, check.form.changes or {}, session, touched):
            return False
        # The counts were just compared, over the entities that the calls can have touched.
        rest = replace(check, form=CheckForm(expect=check.form.expect))
        after = session.state if isinstance(session, WorldSession) else source.initial
        return evaluate(rest, source.initial, after, "").passed

    def _changed_so(
        self,
        source: WorldSource,
        wanted: Mapping[str, ChangeForm],
        session: Any,
        touched: frozenset[str],
    ) -> bool:
        found = {name: _differing(source, session, name) for name in touched}
        for name in {*wanted, *found}:
            form = wanted.get(name, ChangeForm())
            old, new = found.get(name, ({}, {}))
            changed = [key for key in new if key in old]
            counts = (len(new) - len(changed), len(old) - len(changed), len(changed))
            if (form.added, form.removed, form.changed) != counts:
                return False
            columns = source.world.entities[name].columns
            fields = {
                column
                for key in changed
                for column, was, now in zip(columns, old[key], new[key], strict=True)
                if was != now
            }
            if form.fields and not fields <= set(form.fields):
                return False
        return True

    def _same(self, one: "_End", other: "_End") -> bool:
        if one.answer != other.answer:
            return False
        for name in one.touched.keys() | other.touched.keys():
            source = self._sources.by_name[name]
            assert isinstance(source, WorldSource)
            sessions = [end.sitting.opened.get(name) for end in (one, other)]
            entities = one.touched.get(name, frozenset()) | other.touched.get(name, frozenset())
            for entity in entities:
                left, right = (_raw(source, session, entity) for session in sessions)
                if left != right:
                    return False
        return True


class _Asked(Struct, frozen=True):
    """What has to hold at the end."""

    states: Mapping[str, Check]
    answer: AnswerForm


class _End(Struct, frozen=True):
    """Where a plan led."""

    sitting: Sitting
    answer: str
    touched: Mapping[str, frozenset[str]]
    """Entities that its writes can have changed, by source."""


async def _played(
    draft: Draft, sitting: Sitting, without: frozenset[str]
) -> tuple[dict[str, Reply], bool]:
    """What the calls bring, and whether the plan could not go on."""
    replies: dict[str, Reply] = {}
    for turn in turns(draft):
        for step in turn:
            if step.id in without:
                continue
            arguments: dict[str, Any] = {}
            for name, argument in step.arguments.items():
                if isinstance(argument, Given):
                    arguments[name] = argument.value
                    continue
                reply = replies.get(argument.call)
                if reply is None or reply.error:
                    return replies, True
                try:
                    reference = Reference(argument.call, argument.pointer)
                    arguments[name] = follow(reply.body, reference)
                except Unresolved:
                    return replies, True
            replies[step.id] = await sitting.call(step.tool, arguments)
    return replies, False


def _message(name: str, reply: Reply) -> ToolMessage:
    if isinstance(reply.body, str):
        return ToolMessage(name, (Text(reply.body),), is_error=bool(reply.error))
    return ToolMessage(name, (), structured=reply.body, is_error=bool(reply.error))


def _seen(goal: Goal, replies: Mapping[str, Reply]) -> str:
    if goal.kind == "refused":
        reply = replies.get(goal.target)
        return f"I cannot do that: {reply.message}" if reply and reply.error else "Done."
    value = worked_out(goal, replies)
    return "" if value is None else f"That is {value}."


def _raw(source: WorldSource, session: Any, entity: str) -> list[tuple[Any, ...]]:
    return session.state.raw(entity) if session is not None else source.raw(entity)


def _differing(
    source: WorldSource, session: Any, entity: str
) -> tuple[dict[Any, tuple[Any, ...]], dict[Any, tuple[Any, ...]]]:
    """The rows that are only in the initial state, and those that are only in this one, by key."""
    old, new = source.raw(entity), _raw(source, session, entity)
    if old is new or old == new:
        return {}, {}
    shape = source.world.entities[entity]
    key = shape.columns.index(shape.shape.key)
    before, after = set(old), set(new)
    return (
        {row[key]: row for row in old if row not in after},
        {row[key]: row for row in new if row not in before},
    )


def _with(draft: Draft, step: Step, name: str, value: Any) -> Draft:
    changed = replace(step, arguments={**step.arguments, name: Given(value)})
    return Draft([changed if each is step else each for each in draft.steps], draft.goals)


def names_a_tool(request: str, tools: Mapping[str, Tool], used: frozenset[str]) -> str | None:
    """The tool that a request gives away: by name, or in the words of its description."""
    folded = request.casefold()
    said: Vector | None = None
    for name, tool in tools.items():
        for own in {name, tool.name}:
            words = spoken(own)
            if " " in words and (own.casefold() in folded or words in folded):
                return name
        if name in used:
            said = vector(request) if said is None else said
            if cosine(said, _described(tool.description)) >= LEAKS:
                return name
    return None


@lru_cache(4096)
def _described(text: str) -> Vector:
    """The vector of a tool's description."""
    return vector(text)
