"""The kernel's record of a task that runs handlers."""

import weakref
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

SLICE = 0.001
"""Seconds for which the leader, or a row of inline asks, holds the loop."""
FUEL = 32
"""Inline asks of one task between two looks at the clock."""


class Executor:
    """What the kernel knows of a task that runs handlers: a worker, or any task that asks."""

    __slots__ = ("clean", "depth", "fuel", "key", "stamp", "task", "waiting")

    def __init__(self, task: Any) -> None:
        self.key = id(task)
        self.task = weakref.ref(task)
        self.clean: Context | None = None
        """Its context with nothing changed; None if handlers must not see it."""
        self.depth = 0
        """Handlers on its stack."""
        self.fuel = FUEL
        self.stamp = 0.0
        self.waiting: ActorRef | None = None
        """The actor whose answer, or room, it waits for."""


current_executor: ContextVar[Executor | None] = ContextVar("nexau_actors_executor", default=None)


def adopt(task: Any, base: Context) -> Executor:
    """A record for a task that is new to the kernel, kept in its context."""
    here = copy_context()
    same = all(
        var is current_executor or base.get(var, base) is value for var, value in here.items()
    ) and all(var in here for var in base)
    executor = Executor(task)
    current_executor.set(executor)
    if same:
        executor.clean = copy_context()
    return executor
