"""From events to steps: the one place that says what a step is.

The runtime folds while a rollout runs; readers fold event lines read back from a file. Both get
the same steps.
"""

from collections.abc import Iterable

from nexau.models.base import Message, UserMessage
from nexau.trajectory import (
    Called,
    CallResult,
    Delta,
    Event,
    Finished,
    LimitHit,
    ModelTurn,
    Progressed,
    Returned,
    Started,
    Step,
    UserSaid,
)
from nexau.transports.protocol import ErrorClass, Text, Timing

_NO_PART = frozenset({LimitHit, Delta, Progressed})
"""Events that no step is made of."""


class _Agent:
    """What has been seen of one agent since its last complete step."""

    __slots__ = (
        "called_at",
        "mark",
        "model",
        "own",
        "prompt",
        "queue",
        "results",
        "returned_at",
        "tool",
        "turn",
    )

    def __init__(self, prompt: tuple[Message, ...], at: float) -> None:
        self.prompt = prompt
        self.mark = at
        self.turn: ModelTurn | None = None
        self.results: dict[str, CallResult] = {}
        self.called_at: float | None = None
        """When the first call of the turn was sent."""
        self.returned_at = at
        self.queue = self.model = self.tool = self.own = 0.0


class Fold:
    """The steps of one rollout, in order of completion.

    What comes of an agent after its end is no part of any: where a run is cut off, an answer may
    come in between the end of a rollout being put on record and its agents being gone.
    """

    __slots__ = ("_agents", "rollout", "steps")

    def __init__(self, rollout: str) -> None:
        self.rollout = rollout
        self.steps: list[Step] = []
        self._agents: dict[str, _Agent] = {}

    def timing(self, path: str) -> Timing:
        """Sum over the complete steps of an agent that has not finished."""
        agent = self._agents.get(path)
        if agent is None:
            return Timing()
        return Timing(agent.queue, agent.model, agent.tool, agent.own)

    def add(self, event: Event) -> Step | None:
        """Takes the next event; returns the step that it completes, if any."""
        kind = type(event)
        if kind is ModelTurn:
            return self._turn(event)  # type: ignore[arg-type]
        if kind is Called:
            self.called(event.agent, event.at)
            return None
        if kind is Returned:
            return self.returned(event.agent, event.result, event.at)  # type: ignore[union-attr]
        if kind is Started:
            self._agents[event.agent] = _Agent(event.prompt, event.at)  # type: ignore[union-attr]
            return None
        if kind in _NO_PART:
            return None
        if kind is UserSaid:
            self._heard(event)  # type: ignore[arg-type]
            return None
        return self._finished(event)  # type: ignore[arg-type]

    def _turn(self, event: ModelTurn) -> Step | None:
        try:
            agent = self._agents[event.agent]
        except KeyError:
            return None
        agent.turn = event
        if event.calls:
            agent.called_at = None
            return None
        return self._complete(event.agent, agent, event.at)

    def called(self, path: str, at: float) -> None:
        """As `add` of a `Called`, which need not be made where nobody listens."""
        agent = self._agents.get(path)
        if agent is not None and agent.called_at is None:
            agent.called_at = at

    def returned(self, path: str, result: CallResult, at: float) -> Step | None:
        """As `add` of a `Returned`."""
        try:
            agent = self._agents[path]
        except KeyError:
            return None
        turn = agent.turn
        if turn is None:
            return None
        agent.results[result.call_id] = result
        agent.returned_at = at
        if len(agent.results) < len(turn.calls):
            return None
        return self._complete(path, agent, at)

    def _heard(self, event: UserSaid) -> None:
        agent = self._agents.get(event.agent)
        if agent is not None and event.text:
            agent.prompt = (*agent.prompt, UserMessage(event.text))
            agent.mark = event.at

    def _finished(self, event: Finished) -> Step | None:
        """An agent that ends within a step completes it: calls without a result are cancelled."""
        agent = self._agents.pop(event.agent, None)
        if agent is None or agent.turn is None:
            return None
        error_class: ErrorClass = "limit" if event.status == "limit" else "cancelled"
        note = (Text(f"no result: the agent ended ({event.status}) before it came"),)
        for call in agent.turn.calls:
            if call.id not in agent.results:
                agent.returned_at = event.at
                agent.results[call.id] = CallResult(call.id, note, True, error_class)
        return self._complete(event.agent, agent, event.at)

    def _complete(self, path: str, agent: _Agent, at: float) -> Step:
        turn = agent.turn
        assert turn is not None
        tool = 0.0
        if turn.calls and agent.called_at is not None:
            tool = max(0.0, agent.returned_at - agent.called_at)
        model = turn.seconds - turn.queue
        own = max(0.0, at - agent.mark - turn.seconds - tool)
        agent.queue += turn.queue
        agent.model += model
        agent.tool += tool
        agent.own += own
        step = Step(
            self.rollout,
            len(self.steps),
            path,
            turn.turn,
            agent.prompt,
            turn.response,
            turn.calls,
            tuple([agent.results[call.id] for call in turn.calls]),
            turn.reasoning,
            turn.finish_reason,
            turn.model,
            turn.usage,
            Timing(turn.queue, model, tool, own),
            turn.tokens,
        )
        self.steps.append(step)
        agent.prompt = ()
        agent.mark = at
        agent.turn = None
        if agent.results:
            agent.results = {}
        return step


def fold(events: Iterable[Event]) -> list[Step]:
    """The steps of the events of one rollout, given in order of `seq`."""
    folder: Fold | None = None
    for event in events:
        if folder is None:
            folder = Fold(event.rollout)
        folder.add(event)
    return folder.steps if folder is not None else []
