"""The actor system: the root of the tree, open for the length of a block."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context as Variables
from random import Random
from types import TracebackType
from typing import Any, TypeVar

import anyio
from msgspec import Struct

from nexau.actors._backend import Backend, make_backend
from nexau.actors._cell import gone
from nexau.actors._envelopes import START
from nexau.actors._family import Family
from nexau.actors._kind import Kind
from nexau.actors._lifecycle import end
from nexau.actors._scheduler import Scheduler
from nexau.actors._states import DEAD, STOPPING
from nexau.actors.actor import Actor, Factory
from nexau.actors.errors import ActorStopped, Killed
from nexau.actors.pool import Pool, PoolRef
from nexau.actors.ref import ActorRef
from nexau.actors.signals import DeadLetter, Event, EventKind
from nexau.actors.specs import (
    DEFAULT_POLICY,
    MAILBOX,
    ChildSpec,
    Policy,
    RestartType,
    SupervisorSpec,
    Waiting,
    check_policy,
)
from nexau.actors.supervisor import Supervisor, SupervisorRef
from nexau.actors.tree import draw, tree_data

logger = logging.getLogger("nexau.actors")

Ref = TypeVar("Ref", bound=ActorRef)
DEAD_LETTERS = 1024
"""The latest dead letters that are kept; all are counted."""


class SystemStatistics(Struct, frozen=True):
    """A whole system, now."""

    actors: int
    ready: int
    """Actors on the run queue."""
    workers: int
    """Tasks that run handlers: the leader, suspended handlers, and parked ones."""
    parked: int
    handled: int
    """Messages handled by workers; those handled in their asker's task come on top."""
    handovers: int
    """Times the run queue's leader was found suspended in a handler."""
    dead_letters: int


class DeadLetters:
    """The latest undeliverable messages, oldest first."""

    def __init__(self, size: int = DEAD_LETTERS) -> None:
        self._letters: deque[DeadLetter] = deque(maxlen=size)
        self.count = 0
        """All there ever were."""

    def add(self, letter: DeadLetter) -> None:
        self.count += 1
        self._letters.append(letter)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._letters))

    def __len__(self) -> int:
        return len(self._letters)


class _Root(Actor):
    __slots__ = ()


class ActorSystem:
    """Made by `open_system`."""

    def __init__(self, name: str, seed: int, clock: Callable[[], float] | None) -> None:
        self.name = name
        self.random = Random(seed)
        self.dead_letters = DeadLetters()
        self._hooks: tuple[Callable[[Event], None], ...] = ()
        self._kinds: dict[type[Actor], Kind] = {}
        self._policies: dict[Any, Policy] = {}
        self._population = 0
        self._failure: BaseException | None = None
        self._body = anyio.CancelScope()
        self._backend: Backend = make_backend(self._collapse)
        if clock is not None:
            self._backend.now = clock
        self._context: Variables = self._backend.context
        self._scheduler = Scheduler(self._backend)
        self._root = ActorRef(self, None, name, _Root, DEFAULT_POLICY)
        self._install(self._root, _Root())

    # -- what is in it

    @property
    def root(self) -> ActorRef:
        """The parent of all that `spawn` starts."""
        return self._root

    def spawn(
        self,
        factory: Factory,
        name: str | None = None,
        *,
        restart: RestartType = "temporary",
        mailbox: int = MAILBOX,
    ) -> ActorRef:
        """Start an actor. Raises what the factory raises, `ValueError` on a name that is taken."""
        return self._spawn_child(self._root, factory, name, restart, mailbox)

    def supervise(
        self, spec: SupervisorSpec, name: str | None = None, *, restart: RestartType = "temporary"
    ) -> SupervisorRef:
        """Start a supervisor."""
        return self._supervise(self._root, spec, name, restart)

    def pool(
        self,
        factory: Callable[[], Actor],
        name: str | None = None,
        *,
        size: int,
        mailbox: int = MAILBOX,
    ) -> PoolRef:
        """Start a pool of up to `size` workers."""
        return self._pool(self._root, factory, name, size, mailbox)

    def tree(self) -> str:
        """The actors as text, one a line."""
        return draw(self._root)

    def tree_data(self) -> dict[str, Any]:
        """The actors as JSON types."""
        return tree_data(self._root)

    def statistics(self) -> SystemStatistics:
        scheduler = self._scheduler
        return SystemStatistics(
            actors=self._population,
            ready=len(scheduler.queue),
            workers=scheduler.workers,
            parked=len(scheduler.asleep),
            handled=scheduler.count,
            handovers=scheduler.handovers,
            dead_letters=self.dead_letters.count,
        )

    def subscribe(self, hook: Callable[[Event], None]) -> Callable[[], None]:
        """Call `hook` on every event, in the middle of what happens: it must be quick and must
        not raise. Returns what takes it away again."""
        self._hooks = (*self._hooks, hook)

        def unsubscribe() -> None:
            self._hooks = tuple(other for other in self._hooks if other is not hook)

        return unsubscribe

    # -- starting actors

    def _spawn_child(
        self,
        parent: ActorRef,
        factory: Factory,
        name: str | None = None,
        restart: RestartType = "temporary",
        mailbox: int = MAILBOX,
    ) -> ActorRef:
        if not isinstance(factory, (ChildSpec, SupervisorSpec)):
            if restart == "temporary" and mailbox == MAILBOX:
                return self._start(ActorRef, parent, factory, name, DEFAULT_POLICY)
            return self._start(ActorRef, parent, factory, name, self._policy(restart, mailbox))
        if isinstance(factory, ChildSpec):
            spec = factory
            policy = self._policy(
                spec.restart,
                spec.mailbox,
                spec.shutdown,
                spec.significant,
                spec.waiting,
                spec.retries,
            )
            if isinstance(spec.factory, SupervisorSpec):
                return self._start_supervisor(parent, spec.factory, name or spec.id, policy)
            return self._start(ActorRef, parent, spec.factory, name or spec.id, policy)
        return self._supervise(parent, factory, name, restart)

    def _supervise(
        self, parent: ActorRef, spec: SupervisorSpec, name: str | None, restart: RestartType
    ) -> SupervisorRef:
        return self._start_supervisor(
            parent, spec, name, self._policy(restart, MAILBOX, shutdown=None)
        )

    def _start_supervisor(
        self, parent: ActorRef, spec: SupervisorSpec, name: str | None, policy: Policy
    ) -> SupervisorRef:
        ref = self._start(SupervisorRef, parent, lambda: Supervisor(spec), name, policy)
        ref._family = Family(spec, ordered=True)
        return ref

    def _pool(
        self,
        parent: ActorRef,
        factory: Callable[[], Actor],
        name: str | None,
        size: int,
        mailbox: int,
    ) -> PoolRef:
        if size < 1:
            raise ValueError("a pool has at least one worker")
        ref = self._start(PoolRef, parent, Pool, name, self._policy("temporary", mailbox))
        ref._size = size
        ref._worker = factory
        return ref

    def _start(
        self,
        cls: type[Ref],
        parent: ActorRef,
        factory: Callable[[], Actor],
        name: str | None,
        policy: Policy,
    ) -> Ref:
        if parent._state >= STOPPING:
            raise ActorStopped(parent.path)
        family = parent._family
        if family is None:
            family = parent._family = Family(parent._actor.supervision, ordered=False)
        key: str | int
        if name is None:
            key = family.counter = family.counter + 1
        else:
            if name in family.children:
                raise ValueError(f"{parent.path} has a child named {name!r}")
            if not name or "/" in name:
                raise ValueError(f"not a name: {name!r}")
            key = name
        actor = factory()
        ref = cls(self, parent, key, factory, policy)
        self._install(ref, actor)
        family.children[key] = ref
        if self._hooks:
            self._emit("started", ref, None)
        return ref

    def _install(self, ref: ActorRef, actor: Actor) -> None:
        kind = self._kinds.get(actor.__class__)
        if kind is None:
            kind = self._kinds[type(actor)] = Kind(type(actor), Actor, self._scheduler)
        ref._kind = kind
        ref._actor = actor
        actor._actor_ref = ref
        self._population += 1
        if kind.has_started:
            ref._post(START)

    def _policy(
        self,
        restart: RestartType,
        mailbox: int,
        shutdown: float | None = DEFAULT_POLICY.shutdown,
        significant: bool = False,
        waiting: Waiting = DEFAULT_POLICY.waiting,
        retries: int = 0,
    ) -> Policy:
        key = (restart, mailbox, shutdown, significant, waiting, retries)
        policy = self._policies.get(key)
        if policy is None:
            check_policy(restart, shutdown, mailbox)
            policy = Policy(restart, shutdown, significant, mailbox, waiting, retries)
            self._policies[key] = policy
        return policy

    # -- for the kernel

    def _emit(self, kind: EventKind, ref: ActorRef, detail: Any) -> None:
        for hook in self._hooks:
            hook(Event(kind, ref, detail))

    def _dead_letter(self, message: Any, ref: ActorRef, reason: BaseException | None) -> None:
        letter = DeadLetter(message, ref.path, reason)
        self.dead_letters.add(letter)
        self._emit("dead_letter", ref, letter)

    def _collapse(self, error: BaseException | None) -> None:
        """The root has failed: so does the block."""
        if self._failure is None:
            self._failure = error
        self._body.cancel()


class open_system:  # noqa: N801 - used as a function
    """Open an actor system for the length of an `async with` block.

    On leaving, everything in it is stopped in order; killed, if the block was left by an error or
    a cancellation. Raises, from the block, what the root's supervision gave up on.

    `seed` is for the jitter of delays. `clock`, in seconds, is what restart windows count by: the
    loop's own unless a test scripts it.
    """

    def __init__(
        self,
        name: str = "system",
        *,
        seed: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not name or "/" in name:
            raise ValueError(f"not a name: {name!r}")
        self._name = name
        self._seed = seed
        self._clock = clock
        self._system: ActorSystem

    async def __aenter__(self) -> ActorSystem:
        self._system = system = ActorSystem(self._name, self._seed, self._clock)
        await system._backend.open()
        system._body.__enter__()
        return system

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        system = self._system
        try:
            await self._wind_up(error is not None)
        finally:
            # What it absorbs is its own cancellation, for the failure that is raised below.
            system._body.__exit__(kind, error, trace)
            await system._backend.leave()
        if system._failure is not None:
            failure, system._failure = system._failure, None
            raise failure

    async def _wind_up(self, in_haste: bool) -> None:
        system = self._system
        root = system._root
        try:
            if not in_haste:
                end(root, None)
                await gone(root)
        finally:
            with anyio.CancelScope(shield=True):
                if root._state != DEAD:
                    end(root, Killed(f"{system.name} was closed"), kill=True)
                    await gone(root)
                system._scheduler.close()
                await system._backend.close()
