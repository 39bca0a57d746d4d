"""Starting, stopping, killing; background tasks; leaving the block (docs/semantics.md, "Life")."""

import gc
import weakref
from typing import Any

import anyio
import pytest

from nexau.actors import (
    Actor,
    ActorError,
    ActorStopped,
    ActorSystem,
    ChildSpec,
    Event,
    Killed,
    SupervisorFailed,
    open_system,
)
from tests.actors.actors_for_tests import Boom, Hooked, Recorder, factory
from tests.actors.conftest import settle, tasks_now

pytestmark = pytest.mark.anyio


async def test_hooks_frame_the_messages(system: ActorSystem) -> None:
    log: list[Any] = []
    ref = system.spawn(factory(Hooked, log))
    await ref.tell(1)
    await ref.ask(2)
    await ref.stop()
    assert log == ["started", 1, 2, "stopped"]


async def test_a_factory_that_fails_fails_the_spawn(system: ActorSystem) -> None:
    def broken() -> Actor:
        raise Boom

    with pytest.raises(Boom):
        system.spawn(broken, name="x")
    system.spawn(Recorder, name="x")


async def test_names_are_unique_among_the_living(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, name="x")
    with pytest.raises(ValueError, match="child named 'x'"):
        system.spawn(Recorder, name="x")
    for wrong in ("", "a/b"):
        with pytest.raises(ValueError, match="not a name"):
            system.spawn(Recorder, name=wrong)
    await ref.stop()
    assert system.spawn(Recorder, name="x").path == "/test/x"
    assert system.spawn(Recorder).path == "/test/$1"


async def test_a_start_that_fails_reaches_those_who_wait(system: ActorSystem) -> None:
    class Broken(Actor):
        async def started(self) -> None:
            await anyio.lowlevel.checkpoint()
            raise Boom("no start")

    ref = system.spawn(Broken)
    with pytest.raises(ActorStopped) as caught:
        await ref.ask(1)
    assert isinstance(caught.value.reason, Boom)
    with pytest.raises(ActorStopped):
        await system.spawn(Broken).ready()


async def test_stop_finishes_the_current_message(system: ActorSystem) -> None:
    log: list[Any] = []
    gate = anyio.Event()

    async def wait(actor: Recorder) -> str:
        await gate.wait()
        actor.note("finished")
        return "answer"

    ref = system.spawn(factory(Hooked, log))
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await ref.ask(("do", wait)))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        group.start_soon(ref.stop)
        await settle()
        assert not ref.alive
        with pytest.raises(ActorStopped):
            await ref.ask(1)
        gate.set()
    assert answers == ["answer"]
    assert log == ["started", "finished", "stopped"]


async def test_stop_loses_patience(system: ActorSystem) -> None:
    log: list[Any] = []
    spec = ChildSpec("slow", factory(Hooked, log), restart="temporary", shutdown=0.01)
    ref = system.spawn(spec)
    ref.tell_nowait("hang")
    await settle()
    with anyio.fail_after(30):
        await ref.stop()
    assert log == ["started", "cancelled", "stopped"]


async def test_children_end_before_their_parent_last_first(system: ActorSystem) -> None:
    log: list[Any] = []

    class Parent(Hooked):
        async def started(self) -> None:
            for name in "abc":
                ref = self.context.spawn(factory(Hooked, log, name), name=name)
                await ref.ready()

    ref = system.spawn(factory(Parent, log, "parent"))
    await ref.ready()
    assert [child.name for child in ref._family.children.values()] == ["a", "b", "c"]  # type: ignore[union-attr]
    log.clear()
    await ref.stop()
    assert log[-1] == "parent:stopped"
    assert sorted(log[:-1]) == ["a:stopped", "b:stopped", "c:stopped"]


async def test_a_parent_that_waits_for_its_child_can_be_ended(system: ActorSystem) -> None:
    """An agent inside `receive` that waits for its sub-agent, which hangs."""
    log: list[Any] = []

    class Waits(Recorder):
        async def handle(self, message: Any) -> Any:
            child = self.context.spawn(factory(Recorder, log, "child"))
            return await child.ask("hang")

    ref = system.spawn(factory(Waits, log))
    ref.tell_nowait("go")
    await settle()
    with anyio.fail_after(30):
        await ref.kill()
    assert log == ["child:cancelled"]
    assert system.statistics().actors == 1


async def test_ending_oneself_from_inside(system: ActorSystem) -> None:
    async def stop_self(actor: Recorder) -> str:
        actor.context.stop_self()
        return "bye"

    async def kill_self(actor: Recorder) -> None:
        await actor.context.ref.kill()

    ref = system.spawn(Recorder)
    assert await ref.ask(("do", stop_self)) == "bye"
    await ref.gone()
    other = system.spawn(Recorder)
    with pytest.raises(ActorStopped) as caught, anyio.fail_after(30):
        await other.ask(("do", kill_self))
    assert isinstance(caught.value.reason, Killed)


async def test_a_kill_overtakes_a_stop(system: ActorSystem) -> None:
    ref = system.spawn(ChildSpec("x", Recorder, restart="temporary", shutdown=None))
    ref.tell_nowait("hang")
    await settle()
    async with anyio.create_task_group() as group:
        group.start_soon(ref.stop)
        await settle()
        with anyio.fail_after(30):
            await ref.kill()


async def test_a_stopped_hook_is_bounded(system: ActorSystem) -> None:
    class Sticky(Actor):
        async def stopped(self) -> None:
            await anyio.sleep_forever()

    ref = system.spawn(ChildSpec("x", Sticky, restart="temporary", shutdown=0.01))
    with anyio.fail_after(30):
        await ref.stop()


async def test_a_stopped_hook_that_fails_changes_nothing(system: ActorSystem) -> None:
    class Broken(Actor):
        async def stopped(self) -> None:
            raise Boom

    ref = system.spawn(Broken)
    await ref.stop()
    assert not ref.alive


async def test_stopped_does_not_run_where_started_never_did(system: ActorSystem) -> None:
    log: list[Any] = []
    ref = system.spawn(factory(Hooked, log))
    await ref.stop()
    assert log == []


async def test_the_reason_of_a_stop_is_kept(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    await ref.stop("enough")
    with pytest.raises(ActorStopped) as caught:
        await ref.ask(1)
    assert isinstance(caught.value.reason, ActorError)
    assert "enough" in str(caught.value)


async def test_a_background_task_ends_with_its_actor(system: ActorSystem) -> None:
    log: list[Any] = []

    class Owner(Hooked):
        async def started(self) -> None:
            self.context.start_soon(self.work)
            self.context.start_soon(self.brief, name="brief")

        async def work(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                self.note("task over")

        async def brief(self) -> None:
            self.note("brief")

    ref = system.spawn(factory(Owner, log))
    await ref.ask(1)
    await settle()
    await ref.stop()
    assert sorted(map(str, log[:2])) == ["1", "brief"]
    assert log[2:] == ["task over", "stopped"]


async def test_a_background_task_that_fails_is_a_crash(system: ActorSystem) -> None:
    class Owner(Recorder):
        async def started(self) -> None:
            self.context.start_soon(self.work)

        async def work(self) -> None:
            await anyio.sleep(0.001)
            raise Boom("in the task")

    ref = system.spawn(Owner)
    with pytest.raises(ActorStopped) as caught:
        await ref.ask("hang")
    assert isinstance(caught.value.reason, Boom)


async def test_leaving_the_block_leaves_nothing() -> None:
    before = tasks_now()
    async with open_system("s") as system:
        refs = [system.spawn(Hooked) for _ in range(50)]
        for ref in refs:
            await ref.ask("turn")
        assert system.statistics().actors == 51
    assert tasks_now() == before
    assert not any(ref.alive for ref in refs)
    with pytest.raises(ActorStopped):
        await refs[0].ask(1)
    with pytest.raises(ActorStopped):
        system.spawn(Recorder)


async def test_an_error_in_the_block_kills_and_comes_out_as_it_is() -> None:
    before = tasks_now()
    with pytest.raises(Boom):
        async with open_system("s") as system:
            system.spawn(Recorder).tell_nowait("hang")
            await settle()
            raise Boom
    assert tasks_now() == before


async def test_cancelling_the_block_kills() -> None:
    before = tasks_now()
    log: list[Any] = []
    with anyio.move_on_after(0.01) as scope:
        async with open_system("s") as system:
            system.spawn(factory(Hooked, log)).tell_nowait("hang")
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["started", "cancelled", "stopped"]
    assert tasks_now() == before


async def test_cancelling_while_leaving_kills() -> None:
    before = tasks_now()
    with anyio.move_on_after(0.02) as scope:
        async with open_system("s") as system:
            ref = system.spawn(ChildSpec("x", Recorder, restart="temporary", shutdown=None))
            ref.tell_nowait("hang")
            await settle()
    assert scope.cancelled_caught
    assert tasks_now() == before


async def test_a_failing_root_ends_the_block() -> None:
    before = tasks_now()

    class Broken(Actor):
        async def receive(self, message: Any) -> None:
            raise Boom(message)

    with pytest.raises(SupervisorFailed) as caught:
        async with open_system("s") as system:
            ref = system.spawn(Broken, restart="permanent")
            for _ in range(10):
                await ref.tell("again")
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, Boom)
    assert tasks_now() == before


async def test_hooks_see_what_happens(system: ActorSystem) -> None:
    events: list[Event] = []
    unsubscribe = system.subscribe(events.append)
    ref = system.spawn(Recorder, name="x", restart="permanent")
    with pytest.raises(Boom):
        await ref.ask("boom")
    await ref.stop()
    ref.tell_nowait("late")
    assert [event.kind for event in events] == [
        "started", "failed", "restarted", "stopped", "dead_letter",
    ]  # fmt: skip
    unsubscribe()
    system.spawn(Recorder)
    assert len(events) == 5


async def test_ended_actors_are_freed(system: ActorSystem) -> None:
    instances: list[weakref.ref[Actor]] = []

    def make() -> Actor:
        actor = Recorder()
        instances.append(weakref.ref(actor))
        return actor

    refs = [system.spawn(make) for _ in range(20)]
    for ref in refs:
        await ref.ask("turn")
        await ref.stop()
    del refs, ref
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
        gc.collect()
    assert not any(instance() for instance in instances)


async def test_the_tree_is_drawn(system: ActorSystem) -> None:
    class Parent(Recorder):
        async def started(self) -> None:
            self.context.spawn(Recorder, name="one")
            self.context.spawn(Recorder)

    await system.spawn(Parent, name="top").ready()
    system.spawn(Recorder, name="second")
    assert system.tree() == (
        "test Root idle\n"
        "|-- top Parent idle\n"
        "|   |-- one Recorder idle\n"
        "|   `-- $1 Recorder idle\n"
        "`-- second Recorder idle"
    )
    data = system.tree_data()
    assert data["children"][0]["children"][0]["path"] == "/test/top/one"
