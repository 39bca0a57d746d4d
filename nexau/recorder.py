"""The record of one rollout while it runs: events are numbered, folded and passed on."""

import time
from collections.abc import Callable

from nexau.fold import Fold
from nexau.models.base import Message, ToolCall, Turn
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
    RolloutError,
    Started,
    Status,
    Step,
    UserOutcome,
    UserSaid,
)
from nexau.transports.protocol import Progress, Usage

_EPOCH = time.time() - time.perf_counter()


def now() -> float:
    """Seconds since the Unix epoch, never running backwards."""
    return _EPOCH + time.perf_counter()


class Recorder:
    """Numbers and folds the events of a rollout.

    What listeners are to have is kept in `pending`: the agent hands it over where it may wait, so
    that a slow listener slows the rollout down instead of growing memory.
    """

    __slots__ = (
        "_fold",
        "_seq",
        "clock",
        "ended",
        "pending",
        "rollout",
        "user",
        "wants_events",
        "wants_steps",
    )

    def __init__(
        self,
        rollout: str,
        *,
        wants_events: bool = False,
        wants_steps: bool = False,
        clock: Callable[[], float] = now,
    ) -> None:
        self.rollout = rollout
        self.clock = clock
        self.wants_events = wants_events
        self.wants_steps = wants_steps
        self.pending: list[Event | Step] = []
        self.ended: Finished | None = None
        """How the root agent ended."""
        self.user: UserOutcome | None = None
        """What the simulated user has said so far."""
        self._fold = Fold(rollout)
        self._seq = 0

    @property
    def steps(self) -> list[Step]:
        return self._fold.steps

    def started(
        self, agent: str, definition: str, prompt: tuple[Message, ...], call_id: str | None
    ) -> None:
        self._emit(
            Started(self.rollout, self._seq, self.clock(), agent, definition, prompt, call_id)
        )

    def model_turn(self, agent: str, number: int, turn: Turn, seconds: float) -> None:
        self._emit(
            ModelTurn(
                self.rollout,
                self._seq,
                self.clock(),
                agent,
                number,
                turn.content,
                turn.calls,
                turn.reasoning,
                turn.finish_reason,
                turn.model,
                turn.usage,
                seconds,
                turn.queue,
                turn.tokens,
            )
        )

    def played(self, agent: str, number: int) -> None:
        """A turn from before the process died is taken up again."""

    def called(self, agent: str, call: ToolCall) -> float:
        """Returns the time it was sent, on the recorder's clock."""
        at = self.clock()
        if self.wants_events:
            self._emit(Called(self.rollout, self._seq, at, agent, call))
        else:
            self._seq += 1
            self._fold.called(agent, at)
        return at

    def returned(self, agent: str, result: CallResult, at: float) -> None:
        if self.wants_events:
            self._emit(Returned(self.rollout, self._seq, at, agent, result))
            return
        self._seq += 1
        step = self._fold.returned(agent, result, at)
        if step is not None and self.wants_steps:
            self.pending.append(step)

    def user_said(self, agent: str, text: str | None, content: bool | None) -> None:
        self._emit(UserSaid(self.rollout, self._seq, self.clock(), agent, text or "", content))
        self._heard(text, content)

    def _heard(self, text: str | None, content: bool | None) -> None:
        before = self.user.messages if self.user is not None else ()
        self.user = UserOutcome((*before, text) if text else before, content)

    def limit(self, agent: str, limit: str, owner: str, bound: float) -> None:
        self._emit(LimitHit(self.rollout, self._seq, self.clock(), agent, limit, owner, bound))

    def delta(self, agent: str, turn: int, text: str, reasoning: str, attempt: int) -> None:
        self._tell(
            Delta(self.rollout, self._seq, self.clock(), agent, turn, text, reasoning, attempt)
        )

    def progressed(self, agent: str, said: Progress) -> None:
        self._tell(
            Progressed(
                self.rollout,
                self._seq,
                self.clock(),
                agent,
                said.id,
                said.progress,
                said.total,
                said.message,
            )
        )

    def finished(
        self,
        agent: str,
        status: Status,
        answer: str | None,
        limit: str | None,
        error: RolloutError | None,
        usage: Usage,
    ) -> Finished:
        event = Finished(
            self.rollout,
            self._seq,
            self.clock(),
            agent,
            status,
            answer,
            limit,
            error,
            usage,
            self._fold.timing(agent),
        )
        if agent == "root":
            self.ended = event
        self._emit(event)
        return event

    def _tell(self, event: Event) -> None:
        """Of what is said to listeners and is no part of the record."""
        self._seq += 1
        self.pending.append(event)

    def _emit(self, event: Event) -> None:
        self._seq += 1
        if self.wants_events:
            self.pending.append(event)
        step = self._fold.add(event)
        if step is not None and self.wants_steps:
            self.pending.append(step)
