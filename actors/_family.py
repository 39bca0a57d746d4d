"""What an actor keeps beside its slots: nothing for most, so each part is made on first use."""

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from nexau.actors._backend import Future
from nexau.actors._envelopes import NOTHING
from nexau.actors.specs import SupervisorSpec
from nexau.actors.supervision import Delay

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


class Family:
    """The children of an actor and how they are supervised."""

    __slots__ = ("children", "counter", "failed", "hurry", "job", "ordered", "spec", "stamps")

    def __init__(self, spec: SupervisorSpec, ordered: bool) -> None:
        self.children: dict[str | int, ActorRef] = {}
        self.counter = 0
        self.spec = spec
        self.ordered = ordered
        """Stopped one after the other, last first; otherwise all at once."""
        self.stamps: deque[float] | None = None
        self.failed: deque[tuple[ActorRef, float]] | None = None
        """Failures that wait for the group restart under way."""
        self.job = False
        self.hurry: anyio.CancelScope | None = None


class Extra:
    """The rarer parts of an actor's state."""

    __slots__ = (
        "again", "busy", "delay", "dismantled", "ended", "group", "hurry", "idle", "job", "killed",
        "links", "monitors", "reason", "restarts", "tasks", "token", "tried", "tries", "up",
        "watching",
    )  # fmt: skip

    def __init__(self) -> None:
        self.again: Any = NOTHING
        """The message that the next instance is to handle first."""
        self.tried: Any = NOTHING
        """The last such message, and how often it has crashed the actor."""
        self.tries = 0
        self.monitors: dict[ActorRef, None] | None = None
        self.watching: dict[ActorRef, None] | None = None
        self.links: dict[ActorRef, None] | None = None
        self.tasks: dict[Background, None] | None = None
        self.ended: list[Future] | None = None
        self.up: list[Future] | None = None
        self.busy = False
        """A handler was running when the kernel took the actor over, and still is."""
        self.idle: Future | None = None
        self.token: Any = None
        """Of an interrupt sent into the task of an asker."""
        self.reason: BaseException | None = None
        self.killed = False
        self.job = False
        """A task takes the instance apart."""
        self.group = False
        """It is the task that restarts the family as a group."""
        self.dismantled = False
        """It has done so; only the restart is left, if there is one."""
        self.hurry: anyio.CancelScope | None = None
        self.delay: Delay | None = None
        self.restarts = 0


class Background:
    """A task owned by an actor."""

    __slots__ = ("done", "name", "scope")

    def __init__(self, name: str, done: Future) -> None:
        self.name = name
        self.done = done
        self.scope = anyio.CancelScope()

    def cancel(self) -> None:
        """End it, and nothing else of its actor."""
        self.scope.cancel()
