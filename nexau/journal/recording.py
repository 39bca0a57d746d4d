"""Recorders whose events go into a journal, and those that begin with what is there already."""

from collections.abc import Callable
from typing import Any

from nexau.journal.keeper import Journal
from nexau.journal.past import Past
from nexau.journal.records import Brief
from nexau.models.base import Message, ToolCall, Turn
from nexau.recorder import Recorder, now
from nexau.trajectory import (
    Called,
    CallResult,
    Event,
    Finished,
    Returned,
    RolloutError,
    Status,
    UserSaid,
)
from nexau.transports.protocol import Usage


class JournalRecorder(Recorder):
    """As `Recorder`; every event goes to the journal too."""

    __slots__ = ("_attempt", "_index", "_journal", "_place", "_unwritten")

    def __init__(
        self,
        rollout: str,
        journal: Journal,
        place: int,
        attempt: int,
        *,
        wants_events: bool = False,
        wants_steps: bool = False,
        clock: Callable[[], float] = now,
    ) -> None:
        super().__init__(rollout, wants_events=wants_events, wants_steps=wants_steps, clock=clock)
        self._journal = journal
        self._place = place
        self._attempt = attempt
        self._index = 0
        """Events that were taken."""
        self._unwritten: list[Event | Brief] = []

    def take(self) -> tuple[Any, ...]:
        """As `nexau.journal.records.Attempt`."""
        events, self._unwritten = self._unwritten, []
        index = self._index
        self._index = index + len(events)
        return ("events", self._place, self._attempt, index, events)

    # What `Recorder` does, and the event noted, without a call for each of the two; and of calls
    # and results no event is made where nobody listens.

    def called(self, agent: str, call: ToolCall) -> float:
        unwritten, seq = self._unwritten, self._seq
        if not unwritten:
            self._journal.unwritten(self._place, self)
        at = self.clock()
        unwritten.append((at, seq, agent, call.id))
        self._seq = seq + 1
        if self.wants_events:
            self.pending.append(Called(self.rollout, seq, at, agent, call))
        self._fold.called(agent, at)
        return at

    def returned(self, agent: str, result: CallResult, at: float) -> None:
        unwritten, seq = self._unwritten, self._seq
        if not unwritten:
            self._journal.unwritten(self._place, self)
        unwritten.append((at, seq, agent, result))
        self._seq = seq + 1
        if self.wants_events:
            self.pending.append(Returned(self.rollout, seq, at, agent, result))
        step = self._fold.returned(agent, result, at)
        if step is not None and self.wants_steps:
            self.pending.append(step)

    def _emit(self, event: Event) -> None:
        unwritten = self._unwritten
        if not unwritten:
            self._journal.unwritten(self._place, self)
        unwritten.append(event)
        self._seq += 1
        if self.wants_events:
            self.pending.append(event)
        step = self._fold.add(event)
        if step is not None and self.wants_steps:
            self.pending.append(step)


class ResumedRecorder(JournalRecorder):
    """Begins with what an attempt had done; that, told again, is no news."""

    __slots__ = ("_current", "_past")

    def __init__(
        self, rollout: str, journal: Journal, place: int, attempt: int, past: Past, **options: Any
    ) -> None:
        # The rollout's clock stands still while its process is dead, so that no step, call or
        # rollout took as long as nobody was there.
        gap = max(0.0, now() - past.events[-1].at)
        super().__init__(rollout, journal, place, attempt, clock=lambda: now() - gap, **options)
        self._past = past
        self._current: dict[str, int] = {}
        """Turns of each agent so far, those told again counted."""
        for event in past.events:
            if isinstance(event, Finished) and event.agent == "root":
                self.ended = event
            elif isinstance(event, UserSaid):
                self._heard(event.text, event.content)
            Recorder._emit(self, event)
        self._index = len(past.events)
        self._seq = past.events[-1].seq + 1

    def started(
        self, agent: str, definition: str, prompt: tuple[Message, ...], call_id: str | None
    ) -> None:
        if not self._past.started(agent):
            super().started(agent, definition, prompt, call_id)

    def model_turn(self, agent: str, number: int, turn: Turn, seconds: float) -> None:
        super().model_turn(agent, number, turn, seconds)
        self._current[agent] = number

    def played(self, agent: str, number: int) -> None:
        """A turn that is on record was told again."""
        self._current[agent] = number

    def called(self, agent: str, call: ToolCall) -> float:
        turn = self._current.get(agent, -1)
        at = self._past.called_at(agent, turn, call.id)
        return super().called(agent, call) if at is None else at

    def finished(
        self,
        agent: str,
        status: Status,
        answer: str | None,
        limit: str | None,
        error: RolloutError | None,
        usage: Usage,
    ) -> Finished:
        known = self._past.finished(agent)
        if known is not None:
            return known
        return super().finished(agent, status, answer, limit, error, usage)
