"""What a restart keeps, and what becomes of the message that failed (docs/semantics.md)."""

from typing import Any

import anyio
import pytest

from nexau.actors import (
    Actor,
    ActorRef,
    ActorStopped,
    ActorSystem,
    ChildSpec,
    SupervisorRef,
    SupervisorSpec,
    open_system,
)
from nexau.actors.specs import Strategy
from nexau.actors.testing import ScriptedClock
from tests.actors.actors_for_tests import Boom, Recorder
from tests.actors.conftest import settle

pytestmark = pytest.mark.anyio


class Fragile(Actor):
    """Crashes on "boom" as often as told, over all its instances; notes what it handles."""

    def __init__(self, log: list[Any], crashes: list[int], gate: anyio.Event) -> None:
        self.log, self.crashes, self.gate = log, crashes, gate

    async def receive(self, message: Any) -> Any:
        self.log.append(message)
        if message == "wait":
            await self.gate.wait()
            raise Boom("after waiting")
        if message == "boom" and self.crashes[0]:
            self.crashes[0] -= 1
            raise Boom("boom")
        return message


class Scene:
    """One supervised actor of the given spec."""

    def __init__(
        self, system: ActorSystem, crashes: int = 1, strategy: Strategy = "one_for_one", **spec: Any
    ) -> None:
        self.log: list[Any] = []
        self.crashes = [crashes]
        self.gate = anyio.Event()
        child = ChildSpec("a", lambda: Fragile(self.log, self.crashes, self.gate), **spec)
        self.supervisor: SupervisorRef = system.supervise(
            SupervisorSpec(strategy=strategy, intensity=3, period=3600, children=(child,))
        )

    async def open(self) -> ActorRef:
        await self.supervisor.ready()
        return self.supervisor.children[0]


async def outcome(ref: ActorRef, message: Any, into: dict[Any, Any]) -> None:
    try:
        into[message] = await ref.ask(message)
    except (Boom, ActorStopped) as error:
        into[message] = error


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_what_waits_is_kept(system: ActorSystem, strategy: Strategy) -> None:
    scene = Scene(system, strategy=strategy)
    ref = await scene.open()
    answers: dict[Any, Any] = {}
    async with anyio.create_task_group() as group:
        for message in ("wait", 1, 2):
            group.start_soon(outcome, ref, message, answers)
            await settle()
        scene.gate.set()
    assert isinstance(answers.pop("wait"), Boom)
    assert answers == {1: 1, 2: 2}
    assert scene.log == ["wait", 1, 2]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_what_waits_is_failed_by_choice(system: ActorSystem, strategy: Strategy) -> None:
    scene = Scene(system, strategy=strategy, waiting="fail", mailbox=2)
    ref = await scene.open()
    answers: dict[Any, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(outcome, ref, "wait", answers)
        await settle()
        ref.tell_nowait("told")
        for message in (1, 2):  # the second waits for room
            group.start_soon(outcome, ref, message, answers)
            await settle()
        scene.gate.set()
    types = {message: type(answer) for message, answer in answers.items()}
    assert types == {"wait": Boom, 1: ActorStopped, 2: ActorStopped}
    assert isinstance(answers[1].reason, Boom)
    assert [letter.message for letter in system.dead_letters] == ["told"]
    assert await ref.ask("after") == "after"
    assert scene.log == ["wait", "after"]


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
async def test_a_failed_message_is_tried_again_before_all_others(
    system: ActorSystem, queued: bool, strategy: Strategy
) -> None:
    scene = Scene(system, crashes=2, strategy=strategy, retries=2)
    ref = await scene.open()
    for _ in range(3):
        await ref.ask("warm")  # on trio too, the class is then run inline
    scene.log.clear()
    if queued:
        ref.tell_nowait("first")
    async with anyio.create_task_group() as group:
        answers: dict[Any, Any] = {}
        group.start_soon(outcome, ref, "boom", answers)
        await settle()
        group.start_soon(outcome, ref, "next", answers)
    assert answers == {"boom": "boom", "next": "next"}
    assert scene.log == ["first"] * queued + ["boom", "boom", "boom", "next"]


@pytest.mark.parametrize("queued", [False, True])
async def test_after_its_retries_the_asker_gets_the_error(
    system: ActorSystem, queued: bool
) -> None:
    scene = Scene(system, crashes=9, retries=1)
    ref = await scene.open()
    if queued:
        ref.tell_nowait("first")
    with pytest.raises(Boom):
        await ref.ask("boom")
    assert scene.log.count("boom") == 2
    assert await ref.ask("on") == "on"
    with pytest.raises(ActorStopped):  # the window closes before the second try
        for _ in range(2):
            try:
                await ref.ask("boom")
            except Boom:
                continue


async def test_a_told_message_is_tried_again_too(system: ActorSystem) -> None:
    scene = Scene(system, crashes=1, retries=1)
    ref = await scene.open()
    await ref.tell("boom")
    assert await ref.ask("on") == "on"
    assert scene.log == ["boom", "boom", "on"]


async def test_a_retry_needs_a_restart(system: ActorSystem) -> None:
    """Of a temporary actor the asker gets the error at once."""
    scene = Scene(system, crashes=1, retries=5, restart="temporary")
    ref = await scene.open()
    with pytest.raises(Boom):
        await ref.ask("boom")
    assert not ref.alive


async def test_an_asker_that_goes_away_takes_its_retry_with_it(system: ActorSystem) -> None:
    scene = Scene(system, crashes=0, retries=1)
    ref = await scene.open()
    with anyio.move_on_after(0.01):
        await ref.ask("wait")
    assert await ref.ask("on") == "on"
    assert scene.log == ["wait", "on"]


async def test_a_start_is_not_run_twice(system: ActorSystem) -> None:
    """A crash before the first start, here by a link, leaves one start to the next instance."""
    starts: list[str] = []

    class Starts(Recorder):
        async def started(self) -> None:
            starts.append("started")

    other = system.spawn(Recorder)

    async def link(actor: Recorder) -> ActorRef:
        ref = actor.context.system.spawn(Starts, restart="permanent")
        actor.context.link(ref)
        raise Boom

    with pytest.raises(Boom):
        await other.ask(("do", link))
    ref = list(system.root._family.children.values())[-1]  # type: ignore[union-attr]
    assert await ref.ask(1) == 1
    assert ref.statistics().restarts == 1
    assert starts == ["started"]


async def test_a_supervisor_shows_its_window() -> None:
    clock = ScriptedClock()
    async with open_system("s", clock=clock) as system:
        spec = SupervisorSpec(intensity=2, period=10, children=(ChildSpec("a", Recorder),))
        supervisor = system.supervise(spec)
        await supervisor.ready()
        ref = supervisor.children[0]
        for recent in (1, 2):
            with pytest.raises(Boom):
                await ref.ask("boom")
            assert supervisor.statistics().recent == recent
        clock.advance(11)
        statistics = supervisor.statistics()
        assert (statistics.recent, statistics.intensity, statistics.period) == (0, 2, 10)
        for _ in range(2):
            with pytest.raises(Boom):
                await ref.ask("boom")
        assert supervisor.alive
        with pytest.raises(Boom):
            await ref.ask("boom")
        await supervisor.gone()
        assert supervisor.statistics().children == 0
