"""Ordering, bounds and dead letters (docs/semantics.md, "Messages")."""

import threading
from typing import Any

import anyio
import pytest

from nexau.actors import Actor, ActorSystem, Deadlock, MailboxFull
from tests.actors.actors_for_tests import Recorder
from tests.actors.conftest import settle

pytestmark = pytest.mark.anyio


async def test_messages_of_one_sender_keep_their_order(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    for number in range(1000):
        await ref.tell(number)
    assert await ref.ask("log") == list(range(1000))


async def test_order_holds_through_a_handler_that_suspends(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    for number in range(300):
        await ref.tell("turn")
        await ref.tell(number)
    assert await ref.ask("log") == list(range(300))


async def test_tells_and_asks_of_one_sender_keep_their_order(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    for number in range(0, 200, 2):
        await ref.tell(number)
        await ref.ask(number + 1)
    assert await ref.ask("log") == list(range(200))


async def test_never_two_messages_at_once(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)

    async def asker() -> None:
        for _ in range(20):
            await ref.ask("turn")
            await ref.tell("turn")

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(asker)
    assert await ref.ask("most") == 1
    assert ref.statistics().handled == 50 * 40 + 1


async def test_a_full_mailbox_refuses_a_tell_that_cannot_wait(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, mailbox=3)
    ref.tell_nowait("hang")
    await settle()
    for number in range(3):
        ref.tell_nowait(number)
    with pytest.raises(MailboxFull) as caught:
        ref.tell_nowait(3)
    assert caught.value.path == ref.path
    await ref.kill()


async def test_a_bound_is_never_passed_and_waiters_come_first_served(system: ActorSystem) -> None:
    depths: list[int] = []

    class Gauge(Recorder):
        async def handle(self, message: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            depths.append(ref.statistics().mailbox)
            return await super().handle(message)

    ref = system.spawn(Gauge, mailbox=4)
    await ref.tell("first")
    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(ref.tell, number)
            await settle() if number < 8 else None
    log = await ref.ask("log")
    assert log[:9] == ["first", *range(8)]
    assert sorted(log[1:]) == list(range(60))
    assert max(depths) <= 4


async def test_a_cancelled_wait_for_room_delivers_nothing(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, mailbox=1)
    gate = anyio.Event()

    async def wait(_actor: Recorder) -> None:
        await gate.wait()

    ref.tell_nowait(("do", wait))
    await settle()
    ref.tell_nowait("kept")
    with anyio.move_on_after(0.01):
        await ref.tell("given up")
    assert ref.statistics().waiting == 0
    gate.set()
    assert await ref.ask("log") == ["kept"]


async def test_telling_the_dead_makes_a_dead_letter(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, name="late")
    await ref.stop()
    ref.tell_nowait("one")
    await ref.tell("two")
    assert [(letter.message, letter.path) for letter in system.dead_letters] == [
        ("one", "/test/late"),
        ("two", "/test/late"),
    ]
    assert system.dead_letters.count == 2


async def test_mail_left_at_a_stop_becomes_dead_letters(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, mailbox=2)
    ref.tell_nowait("hang")
    await settle()
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    async with anyio.create_task_group() as group:
        group.start_soon(ref.tell, 3)
        await settle()
        await ref.kill()
    assert sorted(str(letter.message) for letter in system.dead_letters) == ["1", "2", "3", "hang"]


async def test_telling_from_another_thread(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)

    def send() -> None:
        for number in range(50):
            ref.tell_from_thread(number)

    thread = threading.Thread(target=send)
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    with anyio.fail_after(30):
        while len(await ref.ask("log")) < 50:
            await anyio.sleep(0.001)
    assert await ref.ask("log") == list(range(50))


async def test_two_actors_that_fill_each_other_are_told_so(system: ActorSystem) -> None:
    """Each waits for room in the other's full mailbox: one of them gets the error."""
    caught: list[Deadlock] = []

    class Filler(Actor):
        async def receive(self, message: Any) -> None:
            if message != "go":
                return
            try:
                for number in range(10):
                    await pair[1 - pair.index(self.context.ref)].tell(number)
                    await anyio.lowlevel.checkpoint()
            except Deadlock as error:
                caught.append(error)

    pair = [system.spawn(Filler, name=name, mailbox=2) for name in ("a", "b")]
    for ref in pair:
        ref.tell_nowait("go")
    await settle()
    with anyio.fail_after(30):
        for ref in pair:
            await ref.ask("end")
    assert len(caught) == 1
    assert set(caught[0].cycle) == {"/test/a", "/test/b"}


async def test_nobody_waits_behind_a_flood(system: ActorSystem) -> None:
    """An actor that always has mail shares the run queue with one that has little."""

    class Loop(Actor):
        count = 0

        async def receive(self, message: Any) -> int:
            if message == "count":
                return self.count
            self.count += 1
            self.context.ref.tell_nowait(message)
            return self.count

    flood = system.spawn(Loop)
    flood.tell_nowait("again")
    other = system.spawn(Recorder)
    for number in range(100):
        await other.tell(number)
        await anyio.lowlevel.checkpoint()
    assert await other.ask("log") == list(range(100))
    await flood.kill()
