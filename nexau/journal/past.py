"""What an attempt had done before its process died, and how it is put back.

Its events are told again to the record, and whoever asks for a turn or a result that is among them
gets that one. Budgets stand where they stood. So the agents run through what they have done without
a model or a tool being asked, and go on from there.
"""

from collections.abc import Sequence

from msgspec import Struct

from nexau.budget import NO_RESERVATION, Budget, LimitReached
from nexau.models.base import Message, ToolCall, Turn
from nexau.prepare import Prepared
from nexau.scoring.users import Reply
from nexau.trajectory import (
    Called,
    CallResult,
    Event,
    Finished,
    LimitHit,
    ModelTurn,
    Returned,
    Started,
    UserSaid,
)
from nexau.transports.protocol import Usage


class Answered(Struct, frozen=True):
    """A call that had come back."""

    agent: str
    """Of the caller."""
    call: ToolCall
    result: CallResult


class _Agent:
    """What is on record of one agent."""

    def __init__(self, started: Started) -> None:
        self.started = started
        self.turns: list[Turn] = []
        self.called: dict[tuple[int, str], float] = {}
        self.results: dict[tuple[int, str], CallResult] = {}
        self.said: dict[int, Reply] = {}
        self.limit: LimitReached | None = None
        self.finished: Finished | None = None
        self.last_at = started.at


class Past:
    """The events of an attempt, from the first and without gaps."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.answered: list[Answered] = []
        """In the order in which results came."""
        self._agents: dict[str, _Agent] = {}
        self._budgets: dict[str, Budget] = {}
        for event in events:
            self._add(event)

    @property
    def began_at(self) -> float:
        """Seconds since the Unix epoch."""
        return self.events[0].at

    @property
    def seconds(self) -> float:
        """For which the attempt had run."""
        return max(0.0, self.events[-1].at - self.events[0].at)

    @property
    def turns(self) -> int:
        return sum(len(agent.turns) for agent in self._agents.values())

    def _add(self, event: Event) -> None:
        if isinstance(event, Started):
            self._agents[event.agent] = _Agent(event)
            return
        agent = self._agents.get(event.agent)
        if agent is None:  # a rollout that failed before its agent began
            return
        agent.last_at = event.at
        turn = len(agent.turns) - 1
        if isinstance(event, ModelTurn):
            agent.turns.append(_turn(event))
        elif isinstance(event, Called):
            agent.called[turn, event.call.id] = event.at
        elif isinstance(event, Returned):
            result = event.result
            agent.results[turn, result.call_id] = result
            call = next(each for each in agent.turns[turn].calls if each.id == result.call_id)
            self.answered.append(Answered(event.agent, call, result))
        elif isinstance(event, UserSaid):
            done = event.content is not None or not event.text
            agent.said[turn] = Reply(event.text or None, done, event.content)
        elif isinstance(event, LimitHit):
            agent.limit = LimitReached(event.limit, event.owner, event.bound)
        elif isinstance(event, Finished):
            agent.finished = event

    # What agents ask.

    def started(self, path: str) -> bool:
        return path in self._agents

    def prompt(self, path: str) -> tuple[Message, ...] | None:
        """The first prompt, as the model saw it."""
        agent = self._agents.get(path)
        return agent.started.prompt if agent is not None else None

    def turn(self, path: str, number: int) -> Turn | None:
        agent = self._agents.get(path)
        return agent.turns[number] if agent is not None and number < len(agent.turns) else None

    def called_at(self, path: str, turn: int, call_id: str) -> float | None:
        agent = self._agents.get(path)
        return agent.called.get((turn, call_id)) if agent is not None else None

    def result(self, path: str, turn: int, call_id: str) -> CallResult | None:
        agent = self._agents.get(path)
        return agent.results.get((turn, call_id)) if agent is not None else None

    def said(self, path: str, turn: int) -> Reply | None:
        """What the simulated user did after an answer."""
        agent = self._agents.get(path)
        return agent.said.get(turn) if agent is not None else None

    def limit(self, path: str) -> LimitReached | None:
        agent = self._agents.get(path)
        return agent.limit if agent is not None else None

    def finished(self, path: str) -> Finished | None:
        agent = self._agents.get(path)
        return agent.finished if agent is not None else None

    def usage(self, path: str) -> Usage:
        """What an agent and all below it had spent."""
        below = f"{path}/"
        total = Usage()
        for name, agent in self._agents.items():
            if name == path or name.startswith(below):
                for turn in agent.turns:
                    total += turn.usage
        return total

    # What the slot asks.

    def budget(self, prepared: Prepared) -> Budget:
        """The root's, with all that was spent; those of sub-agents wait for `take_budget`."""
        for path, agent in self._agents.items():
            parent = self._budgets.get(path.rpartition("/")[0])
            limits = descend(prepared, path).limits
            elapsed = max(0.0, agent.last_at - agent.started.at)
            budget = Budget(limits, path, parent, elapsed=elapsed)
            self._budgets[path] = budget
            for turn in agent.turns:
                budget.charge_step()
                budget.settle(NO_RESERVATION, turn.usage)
        return self._budgets.get("root") or Budget(prepared.limits)

    def take_budget(self, path: str) -> Budget | None:
        return self._budgets.pop(path, None)


def descend(prepared: Prepared, path: str) -> Prepared:
    """The definition of the agent at `path`."""
    for step in path.split("/")[1:]:
        prepared = prepared.children[step.rpartition("#")[0]]
    return prepared


def _turn(event: ModelTurn) -> Turn:
    return Turn(
        event.response,
        event.calls,
        event.reasoning,
        event.finish_reason,
        event.usage,
        event.model,
        event.tokens,
        event.queue,
    )
