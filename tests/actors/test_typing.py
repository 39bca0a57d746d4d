"""The public API as a type checker sees it, and how small it is."""

import nexau.actors
from nexau.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
    PoolRef,
    SupervisorRef,
    SupervisorSpec,
    open_system,
)


async def types() -> None:
    """Never run: mypy and pyright read it."""
    async with open_system("typed", seed=1) as system:
        opened: ActorSystem = system
        ref: ActorRef = opened.spawn(Actor, name="a", restart="transient", mailbox=1)
        supervisor: SupervisorRef = opened.supervise(SupervisorSpec(), name="s")
        child: ActorRef = supervisor.start_child(ChildSpec("c", Actor))
        pool: PoolRef = opened.pool(Actor, "p", size=3)
        path: str = child.path
        alive: bool = ref.alive
        await pool.tell((path, alive))
        handled: int = ref.statistics().handled
        busy: int = pool.statistics().busy
        children: tuple[ActorRef, ...] = supervisor.children
        tree: str = opened.tree()
        del handled, busy, children, tree


def test_the_public_api_fits_a_screen() -> None:
    assert len(nexau.actors.__all__) <= 40
    for name in nexau.actors.__all__:
        assert (getattr(nexau.actors, name).__doc__ or "").strip(), name
