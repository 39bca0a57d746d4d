"""The kernel's record of a task that runs handlers."""

import weakref
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

FUEL = 32
"""Inline asks of one task between two looks at the clock."""
FEW = 4
"""The same after it had to give way: of many such tasks most only learn that the time is up."""


class Executor:
    """What the kernel knows of a task that runs handlers: a worker, or any task that asks."""

    __slots__ = ("base", "clean", "depth", "fuel", "task", "waiting")

    def __init__(self, task: Any, base: Context) -> None:
        self.task = weakref.ref(task)
        self.base = base
        """The context of the system that adopted it."""
        self.clean: Context | None = None
        """Its own with nothing changed; None if handlers must not see it."""
        self.depth = 0
        """Handlers on its stack."""
        self.fuel = FUEL
        self.waiting: ActorRef | None = None
        """The actor whose answer, or room, it waits for."""


current_executor: ContextVar[Executor | None] = ContextVar("nexau_actors_executor", default=None)


def adopt(task: Any, base: Context) -> Executor:
    """A record for a task that is new to the kernel, kept in its context."""
    here = copy_context()
    same = all(
        var is current_executor or base.get(var, base) is value for var, value in here.items()
    ) and all(var in here for var in base)
    executor = Executor(task, base)
    current_executor.set(executor)
    if same:
        executor.clean = copy_context()
    return executor
