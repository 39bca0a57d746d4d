"""Actors that are there to be the parent of others."""

from collections.abc import Callable

from nexau.actors import Actor, PoolRef

CALLS = 1 << 20
"""Bound of pools whose use is bounded elsewhere: by concurrency and parallel calls."""


class Group(Actor):
    """A parent of pools of like workers."""

    def add_pool(self, name: str, factory: Callable[[], Actor], size: int = CALLS) -> PoolRef:
        return self.context.pool(factory, self.free_name(name), size=size)

    def free_name(self, name: str) -> str:
        """`name`, or where a child has it already, one like it."""
        taken = {child.name for child in self.context.children}
        return name if name not in taken else f"{name}-{len(taken)}"

    async def receive(self, message: object) -> None:
        self.unhandled(message)
