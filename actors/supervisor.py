"""Supervisors: actors without a behaviour of their own, only children."""

from msgspec import Struct

from nexau.actors._states import STATES
from nexau.actors.actor import Actor
from nexau.actors.errors import ActorStopped
from nexau.actors.ref import ActorRef
from nexau.actors.specs import DEFAULT_SUPERVISION, ChildSpec, Strategy, SupervisorSpec


class SupervisorStatistics(Struct, frozen=True):
    """One supervisor, now."""

    path: str
    state: str
    strategy: Strategy
    children: int
    restarts: int
    """Of the supervisor itself."""
    recent: int
    """Restarts of children that count in the window now ..."""
    intensity: int
    """... and how many it allows ..."""
    period: float
    """... in so many seconds."""
    waiting: int
    """Failures that wait for the group restart under way."""


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

    def statistics(self) -> SupervisorStatistics:  # type: ignore[override]
        family = self._family
        spec = family.spec if family is not None else DEFAULT_SUPERVISION
        since = self._system._backend.now() - spec.period
        stamps = family.stamps if family is not None else None
        return SupervisorStatistics(
            path=self.path,
            state=STATES[self._state],
            strategy=spec.strategy,
            children=len(self.children),
            restarts=self._extra.restarts if self._extra is not None else 0,
            recent=sum(stamp >= since for stamp in stamps or ()),
            intensity=spec.intensity,
            period=spec.period,
            waiting=len(family.failed or ()) if family is not None else 0,
        )

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
