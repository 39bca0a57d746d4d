"""Variations on a gold plan: varied, honest data without a language model.

Every call is made and every result is the server's own; what varies is what the policy chooses to
do. Each turn carries its style as the model's name (`plan:detour`), so that negative examples are
labelled as such wherever the trajectory goes.

| style | does |
|---|---|
| detour | looks at something else, now and then, before it goes on |
| recover | now and then makes a mistake, sees the error, and does it right |
| explore | plays the plan up to one state, does something else there, and stops |
| loop | repeats one call over and over, then gives up |
| ignore_errors | makes a mistake, ignores the error, and claims success |
| false_claim | leaves out every call that changes something, and claims to have made it |

`explore` yields the (state, action, next state) of "early experience": run it with as many repeats
as alternatives are wanted; all repeats of a task depart at one state, which `state` can name.
Nothing is kept between turns: choices follow from the rollout's seed,
the agent's path and the conversation.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import PlanModel
from nexau.models.base import AssistantMessage, ModelRequest, ToolCall, Turn
from nexau.models.fabricate import alternative, reads, slipped
from nexau.models.gold import GoldPlan
from nexau.models.latency import pause
from nexau.models.plan import STUCK, PlanPolicy

_EXTRA = "extra-"
"""Begins the ids of turns that the plan does not have."""

_INSTEAD = "instead-"
"""Begins the ids of turns that stand for one of the plan's."""

_ASIDE = ("Let me look at this as well.", "One more look before I go on.", "I check this first.")
_AGAIN = ("That was not right. Once more, with the right values.", "My mistake; I correct it.")
_CLAIMS = (
    "Done. I have updated everything as you asked.",
    "All set: the change you asked for has been made.",
    "I have completed your request and everything is updated.",
)
_GAVE_UP = "I could not finish this."
_EXPLORED = "I tried something else here, and stop."


def departs(call_id: str) -> bool:
    """Whether a call is one that the plan does not have: of a detour, a slip, an alternative."""
    return call_id.rpartition(":")[2].startswith((_EXTRA, _INSTEAD))


class Point(Struct, frozen=True):
    """A turn of a plan: whose, and which."""

    path: str
    index: int


class Situation:
    """What a style decides on: one request, and where in the plan it stands."""

    def __init__(self, request: ModelRequest, gold: PlanPolicy, config: PlanModel) -> None:
        self.request = request
        self.gold = gold
        self.share = config.share
        self.state = config.state
        self.prefix = "" if request.path == "root" else f"{request.path.removeprefix('root/')}:"
        said = [m for m in request.messages if isinstance(m, AssistantMessage)]
        self.extras = sum(map(self._is_extra, said))
        self.after_extra = bool(said) and self._is_extra(said[-1])
        self.last = said[-1] if said else None
        self.position = request.turn - self.extras
        self.chance = Random(f"{request.seed}/{request.path}/{request.turn}")
        self.schemas: Mapping[str, Any] = {tool.name: tool for tool in request.tools}

    def _is_extra(self, message: AssistantMessage) -> bool:
        return bool(message.calls) and message.calls[0].id.startswith(self.prefix + _EXTRA)

    def planned(self) -> Turn:
        """The plan's own turn at this position."""
        return self.gold.at(self.request, self.position)

    def fixed(self, name: str) -> Random:
        """The same for every turn of a rollout."""
        return Random(f"{self.request.seed}/{name}")

    def named(self, kind: str, index: int = 0) -> str:
        return f"{self.prefix}{kind}{self.request.turn}.{index}"

    def slip(self, turn: Turn, kind: str) -> Turn | None:
        """`turn` reduced to one call with a mistake in it; None where it calls only sub-agents."""
        children = self.gold.children(self.request)
        calls = [c for c in turn.calls if c.name in self.schemas and c.name not in children]
        self.chance.shuffle(calls)
        for call in calls:
            wrong = slipped(call, self.schemas[call.name].parameters, self.chance)
            if wrong is not None:
                made = ToolCall(self.named(kind), call.name, wrong)
                return Turn(calls=(made,), finish_reason="tool_calls")
        return None

    def aside(self, content: str) -> Turn | None:
        """A reading call that the plan does not have."""
        found = alternative(self.request.tools, self.request.messages, self.chance)
        if found is None:
            return None
        made = ToolCall(self.named(_EXTRA), *found)
        return Turn(content, (made,), finish_reason="tool_calls")

    def chosen(self) -> Point | None:
        """The turn of the whole plan at which this rollout departs from it."""
        points = list(_points(self.gold.read(self.request), "root"))
        return self.fixed("point").choice(points) if points else None

    def explored(self, place: int | None) -> Point | None:
        """The turn at which all repeats of a task depart: alternatives are to one another what
        they are to the plan's own action. None where the plan has no turn at `place`.
        """
        points = list(_points(self.gold.read(self.request), "root"))
        if place is not None:
            return points[place] if place < len(points) else None
        return Random(f"{self.request.task}/state").choice(points) if points else None

    def claim(self) -> Turn:
        return Turn(self.fixed(f"claim/{self.request.path}").choice(_CLAIMS))


def _points(plan: GoldPlan, path: str) -> Iterator[Point]:
    """Every turn that calls a tool, of the agent at `path` and of all below it."""
    index = 0
    born: dict[str, int] = {}
    for part in plan.parts:
        for turn in part.turns:
            if any(call.plan is None for call in turn):
                yield Point(path, index)
            for call in turn:
                if call.plan is not None:
                    born[call.name] = born.get(call.name, 0) + 1
                    yield from _points(call.plan, f"{path}/{call.name}#{born[call.name]}")
            index += 1
        index += 1  # the answer


def _gold(at: Situation) -> Turn:
    return at.planned()


def _detour(at: Situation) -> Turn:
    if not at.after_extra and at.chance.random() < at.share:
        turn = at.aside(at.chance.choice(_ASIDE))
        if turn is not None:
            return turn
    return at.planned()


def _recover(at: Situation) -> Turn:
    planned = at.planned()
    if at.after_extra:
        return replace(planned, content=planned.content or at.chance.choice(_AGAIN))
    if planned.calls and at.chance.random() < at.share:
        return at.slip(planned, _EXTRA) or planned
    return planned


def _explore(at: Situation) -> Turn:
    point = at.explored(at.state)
    if at.extras:
        return Turn(_EXPLORED)
    if point != Point(at.request.path, at.position):
        return at.planned()
    planned = at.planned()
    first, second = (at.aside("") or at.slip(planned, _EXTRA)), at.slip(planned, _EXTRA)
    return (first if at.chance.random() < 0.7 else second) or first or second or planned


def _loop(at: Situation) -> Turn:
    point = at.chosen()
    times = 3 + at.fixed("times").randrange(4)
    if point is None or point.path != at.request.path or at.position != point.index + 1:
        return at.planned()
    if at.extras >= times or at.last is None:
        return Turn(_GAVE_UP)
    children = at.gold.children(at.request)
    again = [call for call in at.last.calls if call.name not in children]
    calls = tuple(
        ToolCall(at.named(_EXTRA, i), call.name, call.arguments) for i, call in enumerate(again)
    )
    return Turn(calls=calls, finish_reason="tool_calls") if calls else Turn(_GAVE_UP)


def _ignore_errors(at: Situation) -> Turn:
    planned = at.planned()
    if at.chosen() == Point(at.request.path, at.position):
        return at.slip(planned, _INSTEAD) or planned
    return planned if not planned.content.startswith(STUCK) else at.claim()


def _false_claim(at: Situation) -> Turn:
    """Plays what is left of the plan without its writes."""
    left = at.request.turn
    position = 0
    children = at.gold.children(at.request)
    while True:
        turn = at.gold.at(at.request, position)
        if not turn.calls:
            return at.claim()
        kept = tuple(
            call
            for call in turn.calls
            if call.name in children or (call.name in at.schemas and reads(at.schemas[call.name]))
        )
        if kept and left == 0:
            return replace(turn, calls=kept)
        left -= bool(kept)
        position += 1


STYLES: Mapping[str, Callable[[Situation], Turn]] = {
    "gold": _gold,
    "detour": _detour,
    "recover": _recover,
    "explore": _explore,
    "loop": _loop,
    "ignore_errors": _ignore_errors,
    "false_claim": _false_claim,
}

NEGATIVE = frozenset({"loop", "ignore_errors", "false_claim"})
"""Styles whose rollouts are examples of what not to do."""


class VariedPolicy:
    """A `Model`: the plan of the task in the style that the seed draws for the rollout."""

    def __init__(self, config: PlanModel) -> None:
        self._gold = PlanPolicy()
        self._config = config
        self._styles = list(config.mix) or [config.style]
        self._weights = list(config.mix.values()) or [1.0]

    async def turn(self, request: ModelRequest) -> Turn:
        if self._config.latency:
            await pause(self._config.latency, request.deadline)
        drawn = Random(f"{request.seed}/style").choices(self._styles, self._weights)
        turn = STYLES[drawn[0]](Situation(request, self._gold, self._config))
        return replace(turn, model=f"plan:{drawn[0]}")

    async def aclose(self) -> None:
        await self._gold.aclose()
