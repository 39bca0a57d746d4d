"""Pools (docs/semantics.md, "Pools")."""

from typing import Any

import anyio
import pytest

from nexau.actors import Actor, ActorStopped, ActorSystem, AskTimeout, MailboxFull
from tests.actors.actors_for_tests import Boom, Hooked, Recorder
from tests.actors.conftest import settle

pytestmark = pytest.mark.anyio


class Gauge(Actor):
    """How many are at work at once, over all instances."""

    now = 0
    most = 0
    made = 0

    def __init__(self) -> None:
        Gauge.made += 1

    async def receive(self, message: Any) -> Any:
        Gauge.now += 1
        Gauge.most = max(Gauge.most, Gauge.now)
        try:
            if message == "boom":
                raise Boom
            await anyio.sleep(0.001 if message != "hang" else 3600)
        finally:
            Gauge.now -= 1
        return message


@pytest.fixture(autouse=True)
def fresh() -> None:
    Gauge.now = Gauge.most = Gauge.made = 0


async def test_as_many_at_once_as_there_are_workers(system: ActorSystem) -> None:
    pool = system.pool(Gauge, "pool", size=4)
    answers: list[int] = []

    async def call(number: int) -> None:
        answers.append(await pool.ask(number))

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(call, number)
    assert sorted(answers) == list(range(40))
    assert (Gauge.most, Gauge.made) == (4, 4)
    statistics = pool.statistics()
    assert (statistics.busy, statistics.idle, statistics.waiting) == (0, 4, 0)
    assert statistics.served == 40


async def test_workers_are_started_when_needed(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=1000)
    assert Gauge.made == 0
    for _ in range(5):
        await pool.ask(1)
    assert Gauge.made == 1


async def test_tells_are_all_handled(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=3, mailbox=4)
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(pool.tell, number)
    with anyio.fail_after(30):
        while pool.statistics().served < 30:
            await anyio.sleep(0.001)
    assert Gauge.most == 3
    assert pool.statistics().busy == 0


async def test_a_full_queue_refuses(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=1, mailbox=2)
    for _ in range(3):
        pool.tell_nowait("hang")
    with pytest.raises(MailboxFull):
        pool.tell_nowait(1)
    await pool.kill()
    assert system.dead_letters.count == 3


async def test_a_crashed_worker_fails_its_asker_and_is_replaced(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=2)
    for _ in range(10):
        with pytest.raises(Boom):
            await pool.ask("boom")
    await pool.tell("boom")
    assert await pool.ask(1) == 1
    await settle()
    assert pool.statistics().crashed == 11
    assert pool.statistics().busy == 0


async def test_waiting_calls_are_served_after_a_crash(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=1)
    outcome: list[Any] = []

    async def call(message: Any) -> None:
        try:
            outcome.append(await pool.ask(message))
        except Boom:
            outcome.append("boom")

    async with anyio.create_task_group() as group:
        for message in (1, "boom", 2, "boom", 3):
            group.start_soon(call, message)
    assert sorted(map(str, outcome)) == ["1", "2", "3", "boom", "boom"]


async def test_cancelled_calls_free_their_worker_and_their_place(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=1)
    with pytest.raises(AskTimeout):
        await pool.ask("hang", timeout=0.01)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.ask, "hang")
        await settle()
        with anyio.move_on_after(0.01):
            await pool.ask(1)
        assert pool.statistics().waiting == 0
        group.cancel_scope.cancel()
    assert await pool.ask(2) == 2
    assert pool.statistics().busy == 0


async def test_a_pool_that_ends_fails_those_who_wait(system: ActorSystem) -> None:
    pool = system.pool(Gauge, size=1)
    errors: list[ActorStopped] = []

    async def call() -> None:
        try:
            await pool.ask("hang")
        except ActorStopped as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call)
        await settle()
        await pool.kill()
    assert len(errors) == 3
    with pytest.raises(ActorStopped):
        await pool.ask(1)
    pool.tell_nowait("late")
    assert [letter.message for letter in system.dead_letters] == ["late"]


async def test_workers_run_their_hooks(system: ActorSystem) -> None:
    log: list[Any] = []
    pool = system.pool(lambda: Hooked(log), size=1)
    assert await pool.ask("x") == "x"
    await pool.stop()
    assert log == ["started", "x", "stopped"]


async def test_a_start_that_fails_reaches_the_asker(system: ActorSystem) -> None:
    class Broken(Recorder):
        async def started(self) -> None:
            raise Boom("no start")

    pool = system.pool(Broken, size=2)
    for _ in range(3):
        with pytest.raises(ActorStopped) as caught:
            await pool.ask(1)
        assert isinstance(caught.value.reason, Boom)


async def test_a_factory_that_fails_reaches_the_asker(system: ActorSystem) -> None:
    def broken() -> Actor:
        raise Boom("no instance")

    pool = system.pool(broken, size=2)
    with pytest.raises(Boom):
        await pool.ask(1)
    assert pool.statistics().busy == 0


async def test_a_pool_has_workers(system: ActorSystem) -> None:
    with pytest.raises(ValueError):
        system.pool(Gauge, size=0)
