"""Mailbox and supervisor against a simple model, by hypothesis."""

from collections import deque
from contextlib import suppress
from typing import Any

import anyio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from nexau.actors import ChildSpec, MailboxFull, SupervisorSpec, open_system
from nexau.actors._backend import run
from nexau.actors.supervision import add_restart
from tests.actors.actors_for_tests import Boom, Recorder

mailbox_steps = st.lists(
    st.sampled_from(["tell", "ask", "cancelled ask", "run", "restart", "tell"]), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 4), steps=mailbox_steps)
def test_a_mailbox_behaves_as_a_bounded_queue(capacity: int, steps: list[str]) -> None:
    run(mailbox_program, capacity, steps, backend="trio", clock=MockClock(autojump_threshold=0))


async def mailbox_program(capacity: int, steps: list[str]) -> None:
    """While a gate holds the actor, its mailbox must be exactly the model's deque."""
    model: deque[int] = deque()
    expected: list[int] = []
    async with open_system("s") as system, anyio.create_task_group() as group:
        ref = system.spawn(Recorder, mailbox=capacity, restart="permanent")
        gate = await hold(ref)
        for number, step in enumerate(steps):
            if step in ("tell", "restart"):
                try:
                    ref.tell_nowait(number)
                    assert len(model) < capacity
                    model.append(number)
                except MailboxFull:
                    assert len(model) == capacity
            elif step == "ask" and len(model) < capacity:
                group.start_soon(ref.ask, number)
                await anyio.wait_all_tasks_blocked()
                model.append(number)
            elif step == "cancelled ask":
                with anyio.move_on_after(0.01):
                    await ref.ask(number)
            elif step == "run":
                gate.set()
                await anyio.wait_all_tasks_blocked()
                expected.extend(model)
                model.clear()
                assert await ref.ask("log") == expected
                gate = await hold(ref)
            assert ref.statistics().mailbox == len(model)
        gate.set()
        await anyio.wait_all_tasks_blocked()
        assert await ref.ask("log") == expected + list(model)


async def hold(ref: Any) -> anyio.Event:
    gate = anyio.Event()

    async def wait(_actor: Recorder) -> None:
        await gate.wait()

    ref.tell_nowait(("do", wait))
    await anyio.wait_all_tasks_blocked()
    return gate


@settings(max_examples=60, deadline=None)
@given(
    intensity=st.integers(0, 3),
    period=st.sampled_from([1.0, 5.0]),
    waits=st.lists(st.sampled_from([0.0, 0.4, 1.0, 2.5, 6.0]), min_size=1, max_size=10),
)
def test_a_supervisor_gives_up_exactly_when_the_model_does(
    intensity: int, period: float, waits: list[float]
) -> None:
    clock = MockClock(autojump_threshold=0)
    run(supervisor_program, intensity, period, waits, backend="trio", clock=clock)


async def supervisor_program(intensity: int, period: float, waits: list[float]) -> None:
    stamps: deque[float] = deque()
    async with open_system("s") as system:
        spec = SupervisorSpec(
            intensity=intensity, period=period, children=(ChildSpec("a", Recorder),)
        )
        supervisor = system.supervise(spec)
        await supervisor.ready()
        child = supervisor.children[0]
        for wait in waits:
            await anyio.sleep(wait)
            allowed = add_restart(stamps, anyio.current_time(), intensity, period)
            with suppress(Boom):
                await child.ask("boom")
            await anyio.wait_all_tasks_blocked()
            assert child.alive is supervisor.alive is allowed
            if not allowed:
                return
            assert await child.ask(1) == 1
