"""The public test tools, on our own kernel and on broken stand-ins that they have to refuse."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from nexau.actors import Actor, ActorRef, ActorSystem, MailboxFull, SupervisorSpec
from nexau.actors.testing import (
    FaultyMailbox,
    Probe,
    ScriptedClock,
    check_mailbox,
    check_supervisor,
)

pytestmark = pytest.mark.anyio


async def test_an_actor_has_a_mailbox(system: ActorSystem) -> None:
    await check_mailbox(lambda factory, capacity: system.spawn(factory, mailbox=capacity))


async def test_a_pool_of_one_has_a_mailbox(system: ActorSystem) -> None:
    await check_mailbox(lambda factory, capacity: system.pool(factory, size=1, mailbox=capacity))


async def test_a_faulty_mailbox_keeps_the_contract(system: ActorSystem) -> None:
    await check_mailbox(
        lambda factory, capacity: FaultyMailbox(
            system.spawn(factory, mailbox=capacity), 3, full=0.0, delay=0.5
        )
    )
    probe = Probe()
    faulty = FaultyMailbox(system.spawn(lambda: probe), 3, full=1.0)
    with pytest.raises(MailboxFull):
        faulty.tell_nowait(1)


async def test_an_unbounded_mailbox_is_refused(system: ActorSystem) -> None:
    def make(factory: Callable[[], Actor], _capacity: int) -> ActorRef:
        return system.spawn(factory, mailbox=1000)

    with pytest.raises(AssertionError, match="bound"):
        await check_mailbox(make)


async def test_a_pool_of_two_is_refused(system: ActorSystem) -> None:
    with pytest.raises(AssertionError):
        await check_mailbox(lambda factory, capacity: system.pool(factory, size=2))


async def test_our_supervisor(system: ActorSystem) -> None:
    await check_supervisor(lambda spec: system.supervise(spec))


async def test_a_supervisor_that_ignores_the_strategy_is_refused(system: ActorSystem) -> None:
    def start(spec: SupervisorSpec) -> Any:
        return system.supervise(SupervisorSpec(children=spec.children, intensity=spec.intensity))

    with pytest.raises(AssertionError, match="one_for_all"):
        await check_supervisor(start)


async def test_a_probe_waits(system: ActorSystem) -> None:
    probe = Probe(lambda message: message * 2)
    ref = system.spawn(lambda: probe)
    async with anyio.create_task_group() as group:
        group.start_soon(ref.tell, 1)
        assert await probe.wait(1) == [1]
    assert await ref.ask(4) == 8
    with pytest.raises(TimeoutError):
        await probe.wait(3, timeout=0.001)


def test_a_scripted_clock() -> None:
    clock = ScriptedClock([1.0, 5.0])
    assert [clock(), clock(), clock()] == [1.0, 5.0, 5.0]
    assert clock.advance(2) == clock() == 7.0
