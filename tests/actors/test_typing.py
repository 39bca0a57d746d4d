"""The public API as mypy and pyright see it, and how small it is."""

from typing import Any, assert_type

import nexau.actors
from nexau.actors import (
    Actor,
    ActorRef,
    ActorStatistics,
    ActorSystem,
    ChildSpec,
    Context,
    DeadLetter,
    Down,
    Event,
    PoolRef,
    PoolStatistics,
    SupervisorRef,
    SupervisorSpec,
    SupervisorStatistics,
    SystemStatistics,
    open_system,
)
from nexau.actors.testing import FaultyMailbox, Probe, ScriptedClock, check_mailbox


class Typed(Actor):
    """Overrides with narrower messages and answers, as users write them."""

    expected = (ConnectionError,)
    refuses = (ValueError,)

    async def receive(self, message: str | Down) -> int:
        assert_type(self.context, Context)
        assert_type(self.context.ref, ActorRef)
        assert_type(self.context.children, tuple[ActorRef, ...])
        if isinstance(message, Down):
            assert_type(message.reason, BaseException | None)
            return 0
        return len(message)


async def types() -> str:
    """Never run: mypy and pyright read it, in `make lint`."""
    clock = ScriptedClock([1.0])
    async with open_system("typed", seed=1, clock=clock) as system:
        assert_type(system, ActorSystem)
        ref = system.spawn(Typed, name="a", restart="transient", mailbox=1)
        assert_type(ref, ActorRef)
        assert_type(await ref.ask("x", timeout=1.0), Any)
        assert_type(await ref.tell("x"), None)
        assert_type(ref.statistics(), ActorStatistics)
        supervisor = system.supervise(SupervisorSpec(strategy="rest_for_one"), name="s")
        assert_type(supervisor, SupervisorRef)
        spec = ChildSpec("c", Typed, waiting="fail", retries=2, shutdown=None)
        assert_type(supervisor.start_child(spec), ActorRef)
        assert_type(supervisor.children, tuple[ActorRef, ...])
        assert_type(supervisor.statistics(), SupervisorStatistics)
        pool = system.pool(Typed, "p", size=3)
        assert_type(pool, PoolRef)
        assert_type(pool.statistics(), PoolStatistics)
        assert_type(system.statistics(), SystemStatistics)
        for letter in system.dead_letters:
            assert_type(letter, DeadLetter)
        system.subscribe(hook)
        await check_mailbox(lambda factory, size: FaultyMailbox(ref, 1, full=0.5))
        system.spawn(lambda: Probe(len))
        return system.tree()  # a block may end in a return: nothing is swallowed


def hook(event: Event) -> None:
    assert_type(event.ref, ActorRef)


def wrong(system: ActorSystem, ref: ActorRef) -> None:
    """What a checker has to refuse: an ignore that is not needed is an error there."""
    system.spawn(Typed())  # type: ignore[arg-type]
    system.spawn(Typed, restart="always")  # type: ignore[arg-type]
    SupervisorSpec(strategy="all_for_one")  # type: ignore[arg-type]
    ref.ask("x", timeout="soon")  # type: ignore[arg-type, unused-coroutine]


def test_the_public_api_fits_a_screen() -> None:
    assert len(nexau.actors.__all__) <= 40
    for name in nexau.actors.__all__:
        assert (getattr(nexau.actors, name).__doc__ or "").strip(), name
