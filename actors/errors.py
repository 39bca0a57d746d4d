"""What the kernel raises."""

from typing import Any


class ActorError(Exception):
    """Base of the kernel's errors."""


class MailboxFull(ActorError):
    """`tell_nowait` found no room."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the mailbox of {path} is full")
        self.path = path


class ActorStopped(ActorError):
    """The actor has ended, or ended before it answered. `reason` is None for a normal end."""

    def __init__(self, path: str, reason: BaseException | None = None) -> None:
        why = f": {type(reason).__name__}: {reason}" if reason is not None else ""
        super().__init__(f"{path} has stopped{why}")
        self.path = path
        self.reason = reason


class Killed(ActorError):
    """The reason of an actor that was killed."""


class AskTimeout(ActorError, TimeoutError):
    """An ask's own deadline passed."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(f"{path} did not answer within {seconds:g} s")
        self.path = path
        self.seconds = seconds


class Deadlock(ActorError):
    """An ask, or a wait for room, that would wait for itself. `cycle` holds the paths."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__("waiting in a circle: " + " -> ".join((*cycle, cycle[0])))
        self.cycle = cycle


class SupervisorFailed(ActorError):
    """More restarts than the window allows. `__cause__` is the last failure."""

    def __init__(self, path: str, child: str, intensity: int, period: float) -> None:
        super().__init__(
            f"{path} gave up on {child}: more than {intensity} restarts in {period:g} s"
        )
        self.path = path
        self.child = child


class StrayCancellation(ActorError):
    """A handler let a cancellation out that nobody had asked for."""


class Refused(Exception):
    """Raised by a handler: `error` is the answer to the asker, and no crash."""

    def __init__(self, error: Exception | str) -> None:
        self.error: Exception = ActorError(error) if isinstance(error, str) else error
        super().__init__(str(error))


class UnhandledMessage(ActorError, TypeError):
    """`Actor.unhandled` was given a message that its actor does not know."""

    def __init__(self, path: str, message: Any) -> None:
        super().__init__(f"{path} does not handle {type(message).__name__}")
        self.path = path


class Interrupt(BaseException):
    """Thrown into a handler that runs in its asker's task, to kill it. Never to be caught."""
