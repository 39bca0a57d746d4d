"""Supervisors: actors without a behaviour of their own, only children."""

from nexau.actors.actor import Actor
from nexau.actors.errors import ActorStopped
from nexau.actors.ref import ActorRef
from nexau.actors.specs import ChildSpec, SupervisorSpec


class Supervisor(Actor):
    """Starts the children of its spec in order, each once the one before is up."""

    __slots__ = ("_spec",)

    def __init__(self, spec: SupervisorSpec) -> None:
        self._spec = spec

    async def started(self) -> None:
        for child in self._spec.children:
            ref = self.context.spawn(child)
            try:
                await ref.ready()
            except ActorStopped as stopped:
                if stopped.reason is not None:
                    raise


class SupervisorRef(ActorRef):
    """A supervisor: no behaviour of its own, only children."""

    __slots__ = ()

    @property
    def children(self) -> tuple[ActorRef, ...]:
        """In start order."""
        return tuple(self._family.children.values()) if self._family is not None else ()

    def start_child(self, spec: ChildSpec) -> ActorRef:
        """Add a child, last in order. Raises `ValueError` on an id that is in use."""
        return self._system._spawn_child(self, spec)

    async def stop_child(self, child_id: str) -> None:
        """Stop a child for good. Raises `KeyError` if there is none of that id."""
        if self._family is None or child_id not in self._family.children:
            raise KeyError(child_id)
        await self._family.children[child_id].stop()
