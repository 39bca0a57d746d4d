"""The kernel's record of a class of actors."""

from typing import TYPE_CHECKING, Any

from nexau.actors.errors import Refused

if TYPE_CHECKING:
    from nexau.actors._scheduler import Scheduler

HOT = 256
"""Messages of a class that suspended which go to workers before it is tried again."""


class Kind:
    """What the kernel learned about a class of actors."""

    __slots__ = (
        "barred",
        "has_started",
        "has_stopped",
        "hot",
        "inline",
        "logged",
        "name",
        "refusals",
        "scheduler",
        "sticky",
        "suppressed",
    )  # fmt: skip

    def __init__(self, cls: Any, base: Any, scheduler: "Scheduler") -> None:
        self.scheduler = scheduler
        inline_scopes = scheduler.backend.inline_scopes
        self.name = cls.__name__
        self.has_started = cls.started is not base.started
        self.has_stopped = cls.stopped is not base.stopped
        self.refusals: tuple[type[BaseException], ...] = (Refused, *cls.refuses)
        """What a handler raises that is a reply."""
        self.sticky = not inline_scopes
        # Where a suspended inline handler cannot always be interrupted, its class has to show
        # first, in a worker, that it does not suspend.
        self.inline = inline_scopes
        self.barred = False
        self.hot = 0
        self.logged = float("-inf")
        self.suppressed = 0

    def suspended(self) -> None:
        self.hot = HOT
        if self.sticky:
            self.inline = False
            self.barred = True

    def kept_going(self) -> None:
        """A turn passed in the leader's hands without a suspension."""
        self.inline = not self.barred

    def spoiled(self) -> None:
        """A handler left its task's context variables changed."""
        self.inline = False
        self.barred = True
