"""The public test tools, on our own kernel and on broken stand-ins that they have to refuse."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from nexau.actors import (
    Actor,
    ActorRef,
    ActorStopped,
    ActorSystem,
    AskTimeout,
    MailboxFull,
    SupervisorSpec,
)
from nexau.actors.testing import (
    BREAKING,
    FaultyMailbox,
    InjectedCrash,
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
    made: list[FaultyMailbox] = []

    def make(factory: Callable[[], Actor], capacity: int) -> FaultyMailbox:
        target = system.spawn(factory, mailbox=capacity)
        made.append(FaultyMailbox(target, 3, full=0.2, delay=0.5, latency=0.001))
        return made[-1]

    await check_mailbox(make)
    assert sum((mailbox.injected for mailbox in made), Counter())["delay"] > 10


@pytest.mark.parametrize("fault", BREAKING)
async def test_a_mailbox_with_a_fault_is_refused(system: ActorSystem, fault: str) -> None:
    def make(factory: Callable[[], Actor], capacity: int) -> FaultyMailbox:
        return FaultyMailbox(system.spawn(factory, mailbox=capacity), 3, **{fault: 0.3})

    with pytest.raises(AssertionError, match="FIFO"):
        await check_mailbox(make)


async def test_each_fault_is_what_it_says(system: ActorSystem) -> None:
    probe = Probe()
    target = system.spawn(lambda: probe)
    with pytest.raises(MailboxFull):
        FaultyMailbox(target, 3, full=1.0).tell_nowait(1)
    with pytest.raises(InjectedCrash):
        await FaultyMailbox(target, 3, crash=1.0).ask(1)
    with pytest.raises(AskTimeout):
        await FaultyMailbox(target, 3, deaf=1.0).ask(1, timeout=0.001)
    await FaultyMailbox(target, 3, lose=1.0).tell("lost")
    await probe.quiet(0.01)
    await FaultyMailbox(target, 3, duplicate=1.0).tell("twice")
    assert await probe.wait(2) == ["twice", "twice"]
    assert probe.last == "twice"
    with pytest.raises(ActorStopped):
        await FaultyMailbox(target, 3, stop=1.0).ask(1)
    with pytest.raises(ValueError, match="rates"):
        FaultyMailbox(target, 3, sloth=0.5)


async def test_a_probe_notices_what_was_not_expected(system: ActorSystem) -> None:
    probe = Probe()
    ref = system.spawn(lambda: probe)
    async with anyio.create_task_group() as group:
        group.start_soon(ref.tell, "surprise")
        with pytest.raises(AssertionError, match="surprise"):
            await probe.quiet(0.02)


async def test_faults_follow_the_seed(system: ActorSystem) -> None:
    def run(seed: int) -> list[bool]:
        faulty = FaultyMailbox(system.spawn(Probe, mailbox=200), seed, full=0.5)
        full = []
        for number in range(50):
            try:
                faulty.tell_nowait(number)
                full.append(False)
            except MailboxFull:
                full.append(True)
        return full

    assert run(1) == run(1) != run(2)


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
