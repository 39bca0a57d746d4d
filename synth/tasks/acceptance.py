"""Whether a task is one: its plan does it, nothing does not, and no part of the plan is idle."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nexau.synth.similarity import similarity
from nexau.synth.tasks.goals import COMPUTED, worked_out
from nexau.synth.tasks.goldplans import gold_plan
from nexau.synth.tasks.lookups import natural
from nexau.synth.tasks.source import WorldSource, reply_to
from nexau.synth.tasks.structs import Draft, Found, Given, Goal, Reply, Step, Tool
from nexau.synth.worlds.checks import ChangeForm, Check
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.play import Played, play
from nexau.synth.worlds.state import State

LEAKS = 0.8
"""Similarity of the request to a tool's description from which on it names the tool."""


_SEEN = COMPUTED | {"refused"}
"""Kinds of goals whose answer is worked out anew from what a variant of the plan brings."""


class Verdict(Struct, frozen=True):
    """What acceptance found."""

    reason: str = ""
    """Why it is refused; empty: accepted."""
    deletions: int = 0
    perturbations: int = 0
    equivalent: int = 0
    """Variants that reach the same final state and the same answer."""


class Acceptance:
    """The tests of one task over one world."""

    def __init__(self, source: WorldSource) -> None:
        self._source = source
        self._writes = {
            name: frozenset(effect.entity for effect in tool.body.effects)
            for name, tool in source.world.tools.items()
        }

    def verdict(
        self, draft: Draft, answers: Sequence[str], check: Check, chance: Random
    ) -> Verdict:
        """Plays the plan and every variant of it, each on a state of its own."""
        reached = self._play(draft, answers)
        if not self._passes(check, reached):
            reached.state.close()
            return Verdict("the plan does not pass its check")
        try:
            idle = _End(self._source.initial, "", frozenset())
            if self._passes(check, idle):
                return Verdict("doing nothing passes")
            counts = {"deletions": 0, "perturbations": 0, "equivalent": 0}
            for what, variant, without in self._variants(draft, chance):
                end = self._play(variant, answers, without)
                counts[what] += 1
                try:
                    if self._passes(check, end):
                        if not self._same(reached, end):
                            return Verdict(f"one of the {what} passes")
                        counts["equivalent"] += 1
                finally:
                    end.state.close()
            return Verdict("", **counts)
        finally:
            reached.state.close()

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
        if param.ref:
            key = self._source.world.entities[param.ref].shape.key
            for row in (
                chance.sample(self._source.rows(param.ref), 2)
                if (len(self._source.rows(param.ref)) > 1)
                else ()
            ):
                if row[key] != value:
                    return row[key]
            return None
        if isinstance(value, bool):
            return not value
        if isinstance(value, int | float):
            return value + 1
        if isinstance(value, str) and tool.reads and tool.noun in self._source.world.entities:
            rows = self._source.rows(tool.noun)
            found = natural(chance.choice(rows)) if rows else None
            return found if found != value else None
        return f"{value} and more" if isinstance(value, str) and argument.fixed else None

    def _play(
        self, draft: Draft, answers: Sequence[str], without: frozenset[str] = frozenset()
    ) -> "_End":
        """Plays a plan and answers as one would who saw these results and no others."""
        direct = [
            answer
            for goal, answer in zip(draft.goals, answers, strict=True)
            if goal.kind not in _SEEN
        ]
        state = self._source.template.state()
        played = play(state, gold_plan(draft, " ".join(direct), without))
        replies = {
            call.id: reply_to(self._source.world, call.name, call.answer) for call in played.calls
        }
        seen = [self._seen(goal, replies) for goal in draft.goals if goal.kind in _SEEN]
        answer = " ".join([*([] if played.stuck else [played.answer]), *seen])
        return _End(state, answer, self._touched(played))

    def _seen(self, goal: Goal, replies: Mapping[str, Reply]) -> str:
        if goal.kind == "refused":
            reply = replies.get(goal.target)
            return f"I cannot do that: {reply.message}" if reply and reply.error else "Done."
        value = worked_out(goal, replies)
        return "" if value is None else f"That is {value}."

    def _touched(self, played: Played) -> frozenset[str]:
        done = [self._writes[call.name] for call in played.calls if not call.answer.is_error]
        return frozenset().union(*done)

    def _passes(self, check: Check, end: "_End") -> bool:
        wanted = check.form.changes
        if wanted is not None and not self._changed_so(wanted, end):
            return False
        # The counts were just compared, over the entities that the calls can have touched.
        rest = replace(check, form=replace(check.form, changes=None))
        return evaluate(rest, self._source.initial, end.state, end.answer).passed

    def _changed_so(self, wanted: Mapping[str, ChangeForm], end: "_End") -> bool:
        found = {name: self._rows(end, name) for name in end.touched}
        for name in {*wanted, *found}:
            form = wanted.get(name, ChangeForm())
            old = self._initial(name) if name in found else {}
            new = found.get(name, {})
            changed = [k for k, row in new.items() if k in old and old[k] != row]
            if (form.added, form.removed, form.changed) != (
                len(new.keys() - old.keys()),
                len(old.keys() - new.keys()),
                len(changed),
            ):
                return False
            fields = {f for k in changed for f, value in new[k].items() if old[k][f] != value}
            if form.fields and not fields <= set(form.fields):
                return False
        return True

    def _rows(self, end: "_End", name: str) -> dict[Any, dict[str, Any]]:
        key = self._source.world.entities[name].shape.key
        return {row[key]: row for row in end.state.rows(name)}

    def _initial(self, name: str) -> dict[Any, dict[str, Any]]:
        key = self._source.world.entities[name].shape.key
        return {row[key]: row for row in self._source.rows(name)}

    def _same(self, one: "_End", other: "_End") -> bool:
        if one.answer != other.answer:
            return False
        return all(
            self._rows(one, name) == self._rows(other, name) for name in one.touched | other.touched
        )


class _End(Struct, frozen=True):
    """Where a plan led."""

    state: State
    answer: str
    touched: frozenset[str]
    """Entities that its writes can have changed."""


def _with(draft: Draft, step: Step, name: str, value: Any) -> Draft:
    changed = replace(step, arguments={**step.arguments, name: Given(value)})
    return Draft([changed if each is step else each for each in draft.steps], draft.goals)


def names_a_tool(request: str, tools: Mapping[str, Tool], used: frozenset[str]) -> str | None:
    """The tool that a request gives away: by name, or in the words of its description."""
    folded = request.casefold()
    for name, tool in tools.items():
        if "_" in name and (name in folded or name.replace("_", " ") in folded):
            return name
        if name in used and similarity(request, tool.description) >= LEAKS:
            return name
    return None
