"""Messages that the kernel itself sends, and the events that its hooks see."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

EventKind = Literal["started", "stopped", "failed", "restarted", "escalated", "dead_letter"]


class Down(Struct, frozen=True):
    """A monitored actor has ended for good. `reason` is None for a normal end."""

    ref: "ActorRef"
    reason: BaseException | None = None


class Event(Struct, frozen=True):
    """What hooks are called with. `detail` is an error, or a `DeadLetter`."""

    kind: EventKind
    ref: "ActorRef"
    detail: Any = None


class DeadLetter(Struct, frozen=True):
    """A message that was not handled, or not to its end, and whose sender was not waiting."""

    message: Any
    path: str
    """Where it was sent to."""
    reason: BaseException | None
