"""The `plan` policy: plays the gold plan that a task carries (see `nexau.models.gold`).

Which part of the plan an agent plays follows from its path: `root/researcher#2` plays the plan of
the second call named `researcher` in the root's plan. Nothing is kept between turns but compiled
plans, so any number of rollouts share one object.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import ModelError, ModelRequest, ToolCall, ToolMessage, Turn
from nexau.models.check_plan import check_plan
from nexau.models.gold import GoldPlan, PlannedCall, Unresolved, is_open, resolve, resolve_text
from nexau.models.latency import pause

NAME = "plan"
STUCK = "The plan cannot go on: "
"""Begins the answer of an agent whose plan refers to what did not come."""

_PLANS = 65_536


class _Compiled:
    """One plan object, and the part of each path that has asked."""

    __slots__ = ("parts", "plan", "source")

    def __init__(self, source: Any) -> None:
        self.source = source
        """Held, so that its id is not given to another plan."""
        self.plan = _read(source)
        self.parts: dict[str, tuple[Turn | _Open, ...]] = {}


class _Open(Struct, frozen=True):
    """A turn that has to be completed with results."""

    calls: tuple[ToolCall, ...] = ()
    answer: str = ""


class PlanPolicy:
    """A `Model`."""

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._compiled: dict[int, _Compiled] = {}

    async def turn(self, request: ModelRequest) -> Turn:
        if self._latency:
            await pause(self._latency, request.deadline)
        part = self._part(request)
        last = len(part) - 1
        if request.turn < last:
            turn = part[request.turn]
        else:
            turn = part[last]
            if request.path == "root":
                self._compiled.pop(id(request.plan), None)
        return turn if isinstance(turn, Turn) else _complete(turn, request)

    def at(self, request: ModelRequest, position: int) -> Turn:
        """The turn at `position` of the part that the request's agent plays; the last one for any
        position beyond. Raises `ModelError`.
        """
        part = self._part(request)
        turn = part[min(position, len(part) - 1)]
        return turn if isinstance(turn, Turn) else _complete(turn, request)

    def read(self, request: ModelRequest) -> GoldPlan:
        """The whole plan of the request's task. Raises `ModelError`."""
        compiled = self._compiled.get(id(request.plan))
        return (compiled or self._compile(request.plan)).plan

    def children(self, request: ModelRequest) -> frozenset[str]:
        """Names of the sub-agents that the request's agent calls in its plan."""
        own = _find(self.read(request), request.path)
        turns = (turn for part in own.parts for turn in part.turns)
        return frozenset(call.name for turn in turns for call in turn if call.plan is not None)

    async def aclose(self) -> None:
        self._compiled.clear()

    def _part(self, request: ModelRequest) -> "tuple[Turn | _Open, ...]":
        compiled = self._compiled.get(id(request.plan))
        if compiled is None:
            compiled = self._compile(request.plan)
        part = compiled.parts.get(request.path)
        if part is None:
            part = compiled.parts[request.path] = _part(compiled.plan, request.path)
        return part

    def _compile(self, plan: Any) -> _Compiled:
        if plan is None:
            raise ModelError("the model is `plan`, and the task carries no plan")
        if len(self._compiled) >= _PLANS:
            del self._compiled[next(iter(self._compiled))]
        compiled = self._compiled[id(plan)] = _Compiled(plan)
        return compiled


def _read(source: Any) -> GoldPlan:
    try:
        plan = msgspec.convert(source, GoldPlan)
        encoded = msgspec.json.encode(source)
    except (msgspec.ValidationError, TypeError, RecursionError):
        plan, encoded = None, b""
    # The whole check takes ten times as long as all else here: only where it can find something.
    if plan is not None and not (b"{{" in encoded or b"$result" in encoded or _odd(plan)):
        return plan
    problems = check_plan(msgspec.to_builtins(source) if plan is not None else source)
    if problems or plan is None:
        shown = "; ".join(map(str, problems[:3])) or "it is not JSON"
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"the task's plan cannot be played: {shown}{more}")
    return plan


def _odd(plan: GoldPlan) -> bool:
    ids: list[str] = []
    if any(part.then for part in plan.then):
        return True
    for turn in (turn for part in plan.parts for turn in part.turns):
        if not turn:
            return True
        for call in turn:
            if not call.name or (call.plan is not None and _odd(call.plan)):
                return True
            if call.id:
                ids.append(call.id)
    return len(set(ids)) != len(ids) or not all(i.isidentifier() and i.isascii() for i in ids)


def _part(plan: GoldPlan, path: str) -> tuple[Turn | _Open, ...]:
    """The turns of one agent: calls, then the answer; the same for each message that follows."""
    prefix = "" if path == "root" else f"{path.removeprefix('root/')}:"
    turns: list[Turn | _Open] = []
    for part in _find(plan, path).parts:
        for planned in part.turns:
            index = len(turns)
            calls = tuple(_call(call, index, i, prefix) for i, call in enumerate(planned))
            if any(is_open(call.arguments) for call in planned):
                turns.append(_Open(calls))
            else:
                turns.append(Turn(calls=calls, finish_reason="tool_calls", model=NAME))
        if "{{" in part.answer:
            turns.append(_Open(answer=part.answer))
        else:
            turns.append(Turn(part.answer, model=NAME))
    return tuple(turns)


def _call(call: PlannedCall, turn: int, index: int, prefix: str) -> ToolCall:
    # An id of the plan's own begins with no digit, so the two kinds never meet.
    return ToolCall(f"{prefix}{call.id or f'{turn}.{index}'}", call.name, call.arguments)


def _find(plan: GoldPlan, path: str) -> GoldPlan:
    for segment in path.split("/")[1:]:
        name, _, number = segment.rpartition("#")
        calls = [c for part in plan.parts for turn in part.turns for c in turn if c.name == name]
        index = int(number) - 1 if number.isdecimal() else -1
        if not 0 <= index < len(calls):
            raise ModelError(f"the task's plan has no call that starts {path}")
        child = calls[index].plan
        if child is None:
            raise ModelError(f"the task's plan gives {path} no plan of its own")
        plan = child
    return plan


def _complete(turn: _Open, request: ModelRequest) -> Turn:
    results = _results(request)
    try:
        if not turn.calls:
            return Turn(resolve_text(turn.answer, results), model=NAME)
        calls = tuple(
            ToolCall(call.id, call.name, resolve(call.arguments, results)) for call in turn.calls
        )
    except Unresolved as error:
        return Turn(f"{STUCK}{error}.", model=NAME)
    return Turn(calls=calls, finish_reason="tool_calls", model=NAME)


def _results(request: ModelRequest) -> Mapping[str, ToolMessage]:
    """What this agent's calls brought back, by their ids in the plan."""
    prefix = "" if request.path == "root" else f"{request.path.removeprefix('root/')}:"
    return {
        message.call_id.removeprefix(prefix): message
        for message in request.messages
        if isinstance(message, ToolMessage)
    }
