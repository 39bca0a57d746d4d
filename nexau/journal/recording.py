"""Recorders whose events go into a journal, and those that begin with what is there already."""

from collections.abc import Callable
from typing import Any

from nexau.journal.past import Past
from nexau.models.base import Message, ToolCall, Turn
from nexau.recorder import Recorder, now
from nexau.trajectory import Event, Finished, RolloutError, Status, UserSaid
from nexau.transports.protocol import Usage

Keep = Callable[[Any], None]


class JournalRecorder(Recorder):
    """As `Recorder`; every event goes to the journal too."""

    __slots__ = ("_attempt", "_index", "_keep", "_place")

    def __init__(self, rollout: str, keep: Keep, place: int, attempt: int, **options: Any) -> None:
        super().__init__(rollout, **options)
        self._keep = keep
        self._place = place
        self._attempt = attempt
        self._index = 0

    def _emit(self, event: Event) -> None:
        # `Kept` as the tuple that it is encoded as: a third of what making a Struct costs. The rest
        # is `Recorder._emit`, here without the call.
        index = self._index
        self._keep(("event", self._place, self._attempt, index, event))
        self._index = index + 1
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
        self, rollout: str, keep: Keep, place: int, attempt: int, past: Past, **options: Any
    ) -> None:
        # The rollout's clock stands still while its process is dead, so that no step, call or
        # rollout took as long as nobody was there.
        gap = max(0.0, now() - past.events[-1].at)
        super().__init__(rollout, keep, place, attempt, clock=lambda: now() - gap, **options)
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
