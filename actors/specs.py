"""How children are started, restarted and stopped: OTP's terms, as values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from nexau.actors.actor import Actor

RestartType = Literal["permanent", "transient", "temporary"]
Waiting = Literal["keep", "fail"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]

MAILBOX = 256
"""Messages that a mailbox holds unless told otherwise."""
SHUTDOWN = 5.0
"""Seconds an actor may take to stop unless told otherwise."""


class Backoff(Struct, frozen=True, gc=False):
    """Delay before restarts in a row: `min`, doubled each time, up to `max` seconds."""

    min: float = 0.1
    max: float = 10.0
    jitter: float = 0.5
    """Share of the delay, 0 to 1, that is taken off at random."""
    reset_after: float = 60.0
    """Seconds without a failure after which the delay is `min` again."""

    def __post_init__(self) -> None:
        if not 0 <= self.min <= self.max:
            raise ValueError("backoff needs 0 <= min <= max")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter lies between 0 and 1")


class ChildSpec(Struct, frozen=True):
    """A child as its supervisor knows it."""

    id: str
    factory: "Callable[[], Actor] | SupervisorSpec"
    restart: RestartType = "permanent"
    shutdown: float | None = SHUTDOWN
    """Seconds to stop in; None: no bound; 0: killed."""
    significant: bool = False
    """Its end, when it is not restarted, ends its supervisor."""
    mailbox: int = MAILBOX
    waiting: Waiting = "keep"
    """What waits in the mailbox at a restart: kept, or failed (dead letters, and `ActorStopped` for
    askers)."""
    retries: int = 0
    """Times that a message which crashed the actor is tried again by the next instance, before all
    others, while its asker waits on. After that the asker gets the error."""

    def __post_init__(self) -> None:
        check_policy(self.restart, self.shutdown, self.mailbox)
        if self.waiting not in ("keep", "fail"):
            raise ValueError(f"waiting is 'keep' or 'fail', not {self.waiting!r}")
        if self.retries < 0:
            raise ValueError("retries is 0 or more")


class SupervisorSpec(Struct, frozen=True):
    """A supervisor: its strategy, its restart window and its first children."""

    strategy: Strategy = "one_for_one"
    intensity: int = 3
    """Restarts allowed within `period`."""
    period: float = 5.0
    """Seconds."""
    backoff: Backoff | None = None
    children: tuple[ChildSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.strategy not in ("one_for_one", "one_for_all", "rest_for_one"):
            raise ValueError(f"no such strategy: {self.strategy!r}")
        if self.intensity < 0 or self.period <= 0:
            raise ValueError("intensity is 0 or more, period is positive")
        ids = [child.id for child in self.children]
        if len(set(ids)) != len(ids):
            raise ValueError(f"child ids are not unique: {ids}")


class Policy(Struct, frozen=True, gc=False):
    """What all children of one kind share; one object for a million actors."""

    restart: RestartType = "temporary"
    shutdown: float | None = SHUTDOWN
    significant: bool = False
    mailbox: int = MAILBOX
    waiting: Waiting = "keep"
    retries: int = 0


def check_policy(restart: Any, shutdown: float | None, mailbox: int) -> None:
    """Raises ValueError."""
    if restart not in ("permanent", "transient", "temporary"):
        raise ValueError(f"no such restart type: {restart!r}")
    if shutdown is not None and shutdown < 0:
        raise ValueError("shutdown is 0 seconds or more")
    if mailbox < 1:
        raise ValueError("a mailbox holds at least one message")


DEFAULT_POLICY = Policy()
DEFAULT_SUPERVISION = SupervisorSpec()
