"""Answers, errors, cancellation, deadlines, circles (docs/semantics.md, "ask")."""

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import anyio
import pytest

from nexau.actors import (
    Actor,
    ActorRef,
    ActorStopped,
    ActorSystem,
    AskTimeout,
    Context,
    Deadlock,
    Refused,
    StrayCancellation,
    open_system,
)
from tests.actors.actors_for_tests import Boom, Recorder
from tests.actors.conftest import settle

pytestmark = pytest.mark.anyio


class Asks(Actor):
    """Asks the next in a row, suspending first if told to."""

    def __init__(self, after: ActorRef | None, suspend: bool = False) -> None:
        self.after = after
        self.suspend = suspend

    async def receive(self, message: Any) -> Any:
        if self.suspend:
            await anyio.lowlevel.checkpoint()
        return message if self.after is None else await self.after.ask(message) + 1


async def warm(ref: ActorRef, times: int = 3) -> None:
    """Let the kernel learn the class, so that the inline path is open on both backends."""
    for _ in range(times):
        await ref.ask(0)


async def test_the_value_answers(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    assert await ref.ask(1) == 1
    assert await ref.ask("turn") == "turn"


@pytest.mark.parametrize("suspend", [False, True])
async def test_a_chain_of_5000_asks(system: ActorSystem, suspend: bool) -> None:
    ref: ActorRef | None = None
    for _ in range(5000):
        after = ref
        ref = system.spawn(lambda after=after: Asks(after, suspend))  # type: ignore[misc]
    assert ref is not None
    assert await ref.ask(0) == 4999


async def test_an_exception_reaches_the_asker_and_ends_the_actor(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    await warm(ref)
    with pytest.raises(Boom):
        await ref.ask("boom")
    assert not ref.alive
    with pytest.raises(ActorStopped) as caught:
        await ref.ask(1)
    assert isinstance(caught.value.reason, Boom)


async def test_an_exception_keeps_its_own_cause(system: ActorSystem) -> None:
    class Chained(Actor):
        async def receive(self, message: Any) -> Any:
            if message:
                raise Boom("outer") from KeyError("inner")

    ref = system.spawn(Chained)
    await warm(ref)
    with pytest.raises(Boom) as caught:
        await ref.ask(1)
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_refusal_is_a_reply(system: ActorSystem) -> None:
    class Picky(Actor):
        refuses = (KeyError,)

        async def receive(self, message: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            if message == "listed":
                raise KeyError("listed")
            if message:
                raise Refused(ValueError("no"))

    ref = system.spawn(Picky)
    await warm(ref)
    with pytest.raises(ValueError, match="no"):
        await ref.ask("wrapped")
    with pytest.raises(KeyError):
        await ref.ask("listed")
    await ref.tell("wrapped")
    await ref.ask(0)
    assert ref.alive
    assert [letter.message for letter in system.dead_letters] == ["wrapped"]


async def test_an_unknown_message_is_refused(system: ActorSystem) -> None:
    ref = system.spawn(Actor)
    with pytest.raises(TypeError, match="does not handle str"):
        await ref.ask("what?")
    assert ref.alive


@pytest.mark.parametrize("queued", [False, True])
async def test_cancelling_an_ask_cancels_the_work(system: ActorSystem, queued: bool) -> None:
    ref = system.spawn(Recorder)
    await warm(ref)
    with anyio.move_on_after(0.02) as scope:
        if queued:
            await ref.tell("turn")
        await ref.ask("hang")
    assert scope.cancelled_caught
    assert (await ref.ask("log"))[-1] == "cancelled"
    assert ref.alive


async def test_cancelling_a_waiting_ask_takes_its_message_back(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    gate = anyio.Event()

    async def wait(_actor: Recorder) -> None:
        await gate.wait()

    await ref.tell(("do", wait))
    await settle()
    with anyio.move_on_after(0.01):
        await ref.ask("never")
    assert ref.statistics().mailbox == 0
    gate.set()
    assert await ref.ask("log") == []


async def test_a_timeout_is_an_error_of_its_own(system: ActorSystem) -> None:
    ref = system.spawn(Recorder, name="slow")
    with pytest.raises(AskTimeout) as caught:
        await ref.ask("hang", timeout=0.01)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.path == "/test/slow"
    assert await ref.ask("log") == ["cancelled"]
    assert await ref.ask(5, timeout=5) == 5


async def test_an_outer_deadline_is_not_an_ask_timeout(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    with anyio.move_on_after(0.01) as scope:
        await ref.ask("hang", timeout=60)
    assert scope.cancelled_caught


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_an_ask_fails_when_the_actor_ends(system: ActorSystem, end: str) -> None:
    ref = system.spawn(Recorder)
    errors: list[BaseException] = []

    async def ask(message: Any) -> None:
        try:
            await ref.ask(message)
        except ActorStopped as error:
            errors.append(error)

    gate = anyio.Event()

    async def wait(_actor: Recorder) -> None:
        await gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(ask, ("do", wait))
        await settle()
        for number in range(5):
            group.start_soon(ask, number)
        await settle()
        group.start_soon(ref.kill if end == "kill" else ref.stop)
        await settle()
        assert len(errors) == (6 if end == "kill" else 5)
        gate.set()


@pytest.mark.parametrize("warmed", [False, True])
async def test_killing_an_actor_that_runs_in_its_askers_task(
    system: ActorSystem, warmed: bool
) -> None:
    """The asker gets an error and goes on; its own task is not cancelled."""
    ref = system.spawn(Recorder)
    if warmed:
        await warm(ref)
    outcome: list[Any] = []

    async def ask() -> None:
        try:
            await ref.ask("hang")
        except ActorStopped as error:
            outcome.append(error)
        await anyio.sleep(0.001)
        outcome.append("went on")

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        await ref.kill()
    assert isinstance(outcome[0], ActorStopped)
    assert outcome[1] == "went on"


async def test_killing_the_middle_of_a_chain(system: ActorSystem) -> None:
    """a asks b asks c, all in one task: killing b fails a's ask and leaves c alive."""
    c = system.spawn(Recorder, name="c")
    await warm(c)

    class Middle(Actor):
        async def receive(self, message: Any) -> Any:
            return await c.ask(message)

    b = system.spawn(Middle, name="b")
    await warm(b)
    errors: list[ActorStopped] = []

    async def ask() -> None:
        try:
            await b.ask("hang")
        except ActorStopped as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        await b.kill()
    assert errors[0].path == "/test/b"
    assert c.alive
    assert (await c.ask("log"))[-1] == "cancelled"


async def test_a_kill_goes_through_a_task_group_in_the_handler(system: ActorSystem) -> None:
    class Groups(Actor):
        async def receive(self, message: Any) -> Any:
            if message:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep_forever)
                    group.start_soon(anyio.sleep_forever)

    ref = system.spawn(Groups)
    await warm(ref)
    errors: list[ActorStopped] = []

    async def ask() -> None:
        try:
            await ref.ask(1)
        except ActorStopped as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await settle()
        await ref.kill()
    assert len(errors) == 1


async def test_asking_oneself_is_a_deadlock(system: ActorSystem) -> None:
    async def ask_self(actor: Recorder) -> Any:
        return await actor.context.ref.ask(1)

    ref = system.spawn(Recorder, name="narcissus", restart="permanent")
    with pytest.raises(Deadlock) as caught:
        await ref.ask(("do", ask_self))
    assert caught.value.cycle == ("/test/narcissus",)


@pytest.mark.parametrize("suspend", [False, True])
async def test_a_circle_of_asks_is_named(system: ActorSystem, suspend: bool) -> None:
    refs: list[ActorRef] = []

    class Round(Actor):
        def __init__(self, number: int) -> None:
            self.number = number

        async def receive(self, message: Any) -> Any:
            if suspend:
                await anyio.lowlevel.checkpoint()
            return await refs[(self.number + 1) % 3].ask(message)

    refs.extend(system.spawn(lambda n=n: Round(n), name=f"r{n}") for n in range(3))  # type: ignore[misc]
    with pytest.raises(Deadlock) as caught, anyio.fail_after(30):
        await refs[0].ask("round")
    assert sorted(caught.value.cycle) in (["/test/r0"], ["/test/r0", "/test/r1", "/test/r2"])


async def test_two_that_ask_each_other_at_the_same_time(system: ActorSystem) -> None:
    pair: list[ActorRef] = []

    class Cross(Actor):
        def __init__(self, other: int) -> None:
            self.other = other

        async def receive(self, message: Any) -> Any:
            if message == "go":
                await anyio.sleep(0.005)
                return await pair[self.other].ask("hello")
            return message

    pair.extend(
        system.spawn(lambda n=n: Cross(1 - n), name=f"x{n}", restart="permanent")  # type: ignore[misc]
        for n in (0, 1)
    )
    outcome: list[Any] = []

    async def ask(ref: ActorRef) -> None:
        try:
            outcome.append(await ref.ask("go"))
        except Deadlock as error:
            outcome.append(error)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for ref in pair:
                group.start_soon(ask, ref)
    cycles = [error.cycle for error in outcome if isinstance(error, Deadlock)]
    assert len(cycles) == 1
    assert sorted(cycles[0]) == ["/test/x0", "/test/x1"]


async def test_no_false_alarm_among_concurrent_asks_of_one_handler(system: ActorSystem) -> None:
    leaf = system.spawn(Recorder)

    class Hub(Actor):
        async def receive(self, message: Any) -> Any:
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(leaf.ask, "turn")
                    group.start_soon(leaf.ask, 1)
            return "done"

    hub = system.spawn(Hub)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(hub.ask, 1)
    assert await hub.ask(1) == "done"


variable = contextvars.ContextVar("variable", default="clean")


class Reads(Actor):
    async def receive(self, message: Any) -> Any:
        before = variable.get()
        if message == "set":
            variable.set("spoilt")
        return before


async def test_handlers_do_not_see_the_askers_variables(system: ActorSystem) -> None:
    ref = system.spawn(Reads)
    await warm(ref)
    token = variable.set("asker's")
    try:
        assert await ref.ask(1) == "clean"
    finally:
        variable.reset(token)


async def test_handlers_do_not_see_each_others_variables(system: ActorSystem) -> None:
    ref = system.spawn(Reads)
    for _ in range(20):
        await ref.tell("set")
    assert await ref.ask(1) == "clean"
    assert await ref.ask("set") == "clean"
    assert variable.get() == "clean"
    assert await system.spawn(Reads).ask(1) == "clean"


async def test_handlers_see_the_variables_of_where_the_system_was_opened() -> None:
    token = variable.set("opener's")
    try:
        async with open_system("s") as system:
            ref = system.spawn(Reads)
            await ref.tell("x")
            assert await ref.ask(1) == "opener's"
    finally:
        variable.reset(token)


async def test_scopes_and_groups_work_in_a_handler(system: ActorSystem) -> None:
    async def work(_actor: Recorder) -> str:
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await anyio.sleep_forever()
        return "fine"

    ref = system.spawn(Recorder)
    for _ in range(3):
        assert await ref.ask(("do", work)) == "fine"
    await ref.tell(("do", work))
    assert await ref.ask(("do", work)) == "fine"


async def test_a_stray_cancellation_is_a_crash(
    anyio_backend: tuple[str, Any], system: ActorSystem
) -> None:
    if anyio_backend[0] == "trio":
        pytest.skip("only asyncio has futures that can be cancelled")

    async def stray(_actor: Recorder) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    for queued in (False, True):
        ref = system.spawn(Recorder)
        if queued:
            await ref.tell("turn")
        with pytest.raises(StrayCancellation):
            await ref.ask(("do", stray))
        assert not ref.alive


async def test_asks_that_never_suspend_leave_the_loop_its_turns(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await anyio.lowlevel.checkpoint()
        for _ in range(50_000):
            await ref.ask(0)
        group.cancel_scope.cancel()
    assert turns > 5


async def test_context_is_there_before_started(system: ActorSystem) -> None:
    seen: list[Context] = []

    class Early(Actor):
        async def started(self) -> None:
            seen.append(self.context)

    ref = system.spawn(Early, name="early")
    await ref.ready()
    assert seen[0].ref is ref
    assert seen[0].name == "early"
    assert seen[0].parent is system.root
    assert seen[0].system is system


@pytest.mark.parametrize("queued", [False, True])
async def test_an_error_leaves_no_cycle(system: ActorSystem, queued: bool) -> None:
    """Errors hold frames, and frames what they ran with: none of ours may hold the error."""
    ref = system.spawn(Recorder, restart="permanent")
    await warm(ref)
    gc.collect()
    gc.disable()
    try:
        if queued:
            await ref.tell("turn")
        try:
            await ref.ask("boom")
        except Boom as error:
            seen = weakref.ref(error)
        await ref.tell(2)  # a worker's frame holds its last message until the next
        await settle()
        assert seen() is None
    finally:
        gc.enable()
