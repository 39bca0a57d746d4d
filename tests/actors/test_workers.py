"""The run queue's workers: kept, reused, let go; and the loop gets its turns."""

import gc
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from trio.testing import MockClock

from nexau.actors import Actor, ActorSystem, open_system, tune_gc
from nexau.actors._backend import run
from nexau.actors._scheduler import SPARE
from tests.actors.actors_for_tests import Recorder

pytestmark = pytest.mark.anyio


class Sleeps(Actor):
    async def receive(self, message: Any) -> Any:
        await anyio.sleep(0.01)
        return message


def test_parked_workers_are_used_again_and_end_when_nobody_needs_them() -> None:
    async def program() -> None:
        async with open_system("s") as system:
            refs = [system.spawn(Sleeps) for _ in range(4 * SPARE)]
            for _ in range(3):
                async with anyio.create_task_group() as group:
                    for ref in refs:
                        group.start_soon(ref.ask, 1)
                statistics = system.statistics()
                assert len(refs) <= statistics.workers <= len(refs) + 2
            assert system.statistics().parked > SPARE
            await anyio.sleep(10)
            assert system.statistics().workers == system.statistics().parked == SPARE
            assert await refs[0].ask(2) == 2
        assert system.statistics().workers == 0

    run(program, backend="trio", clock=MockClock(autojump_threshold=0))


async def test_a_system_with_many_parked_workers_closes(system: ActorSystem) -> None:
    refs = [system.spawn(Sleeps) for _ in range(2 * SPARE)]
    for _ in range(2):
        for ref in refs:
            await ref.tell(1)
        async with anyio.create_task_group() as group:
            for ref in refs:
                group.start_soon(ref.ask, 1)
    assert system.statistics().parked > SPARE


@pytest.mark.parametrize("many", [1, 300])
async def test_tells_that_find_room_leave_the_loop_its_turns(
    system: ActorSystem, many: int
) -> None:
    refs = [system.spawn(Recorder, mailbox=100_000) for _ in range(many)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await anyio.lowlevel.checkpoint()
        for number in range(50_000):
            await refs[number % many].tell(0)
        group.cancel_scope.cancel()
    assert turns > 5


async def test_a_tell_cancelled_as_it_gives_way_delivers_nothing(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, mailbox=1_000_000)
    sent = 0
    with anyio.CancelScope() as scope:
        scope.cancel()
        while True:
            await ref.tell(sent)
            sent += 1
    assert await ref.ask("log") == list(range(sent))


async def test_ending_very_many_leaves_the_loop_its_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        async with open_system("s") as system:
            for _ in range(20_000):
                system.spawn(Recorder)
            group.start_soon(count)
            await anyio.lowlevel.checkpoint()
            before = turns
        assert turns > before + 5
        group.cancel_scope.cancel()


def test_the_collector_is_tuned_and_set_back() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    undo = tune_gc(12_345)
    try:
        assert gc.get_threshold()[0] == 12_345
        assert gc.get_freeze_count() > before[1]
    finally:
        undo()
    assert gc.get_threshold() == before[0]
    assert gc.get_freeze_count() == 0
