"""Pure arithmetic by table, then the strategies (docs/semantics.md, "Supervision")."""

import logging
from collections import deque
from random import Random
from typing import Any

import anyio
import pytest

from nexau.actors import (
    Actor,
    ActorStopped,
    ActorSystem,
    Backoff,
    ChildSpec,
    Killed,
    SupervisorFailed,
    SupervisorSpec,
    open_system,
)
from nexau.actors.specs import RestartType, Strategy
from nexau.actors.supervision import Delay, add_restart, affected, restarts
from tests.actors.actors_for_tests import Boom, Hooked, Recorder, factory
from tests.actors.conftest import settle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("times", "intensity", "period", "allowed"),
    [
        ([0], 0, 5, [False]),
        ([0, 1, 2, 3], 3, 5, [True, True, True, False]),
        ([0, 1, 2, 7.5], 3, 5, [True, True, True, True]),
        ([0, 5, 10, 15], 1, 5, [True, False, False, False]),
        ([0, 5.01, 10.02], 1, 5, [True, True, True]),
        ([0, 0, 0, 0], 3, 1, [True, True, True, False]),
    ],
)
def test_the_window(times: list[float], intensity: int, period: float, allowed: list[bool]) -> None:
    stamps: deque[float] = deque()
    assert [add_restart(stamps, now, intensity, period) for now in times] == allowed


@pytest.mark.parametrize(
    ("kind", "crashed", "again"),
    [
        ("permanent", True, True),
        ("permanent", False, True),
        ("transient", True, True),
        ("transient", False, False),
        ("temporary", True, False),
        ("temporary", False, False),
    ],
)
def test_who_is_started_again(kind: RestartType, crashed: bool, again: bool) -> None:
    assert restarts(kind, crashed=crashed) is again


@pytest.mark.parametrize(
    ("strategy", "concerned"),
    [("one_for_one", "b"), ("one_for_all", "abcd"), ("rest_for_one", "bcd")],
)
def test_whom_a_failure_concerns(strategy: Strategy, concerned: str) -> None:
    assert "".join(affected(strategy, list("abcd"), "b")) == concerned


def test_backoff_doubles_up_to_its_bound_and_starts_anew_after_a_quiet_time() -> None:
    backoff = Backoff(min=1, max=5, jitter=0, reset_after=10)
    delay = Delay()
    random = Random(0)
    assert [delay.next(backoff, now, random) for now in (0, 1, 3, 7, 12)] == [1, 2, 4, 5, 5]
    assert delay.next(backoff, 22, random) == 1


def test_jitter_only_takes_off_and_follows_the_seed() -> None:
    backoff = Backoff(min=1, max=1, jitter=0.5)
    one, two = ([Delay().next(backoff, 0, Random(7)) for _ in range(3)] for _ in range(2))
    assert one == two
    assert all(0.5 < delay <= 1 for delay in one)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ChildSpec("a", Actor, restart="always"),  # type: ignore[arg-type]
        lambda: ChildSpec("a", Actor, shutdown=-1),
        lambda: ChildSpec("a", Actor, mailbox=0),
        lambda: SupervisorSpec(strategy="all"),  # type: ignore[arg-type]
        lambda: SupervisorSpec(intensity=-1),
        lambda: SupervisorSpec(children=(ChildSpec("a", Actor), ChildSpec("a", Actor))),
        lambda: Backoff(min=2, max=1),
        lambda: Backoff(jitter=2),
    ],
)
def test_specs_are_checked(wrong: Any) -> None:
    with pytest.raises(ValueError):
        wrong()


async def crash(ref: Any) -> None:
    with pytest.raises(Boom):
        await ref.ask("boom")


def three(log: list[Any], restart: RestartType = "permanent") -> tuple[ChildSpec, ...]:
    return tuple(
        ChildSpec(name, factory(Hooked, log, name), restart=restart) for name in ("a", "b", "c")
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["b:stopped", "b:started"]),
        (
            "one_for_all",
            ["c:stopped", "b:stopped", "a:stopped", "a:started", "b:started", "c:started"],
        ),
        ("rest_for_one", ["c:stopped", "b:stopped", "b:started", "c:started"]),
    ],
)
async def test_strategies(system: ActorSystem, strategy: Strategy, expected: list[str]) -> None:
    log: list[Any] = []
    supervisor = system.supervise(SupervisorSpec(strategy=strategy, children=three(log)), "sup")
    await supervisor.ready()
    assert log == ["a:started", "b:started", "c:started"]
    log.clear()
    await crash(supervisor.children[1])
    for child in supervisor.children:
        await child.ask("x")
    assert [entry for entry in log if not entry.endswith(":x")] == expected


async def test_a_restart_keeps_address_mailbox_and_waiting_askers(system: ActorSystem) -> None:
    ref = system.spawn(Hooked, restart="permanent")
    answers: list[Any] = []

    async def ask(message: Any) -> None:
        answers.append(await ref.ask(message))

    gate = anyio.Event()

    async def fail_at_gate(_actor: Recorder) -> None:
        await gate.wait()
        raise Boom

    await ref.tell(("do", fail_at_gate))
    async with anyio.create_task_group() as group:
        await settle()
        for number in range(3):
            group.start_soon(ask, number)
        await settle()
        gate.set()
    assert sorted(answers) == [0, 1, 2]
    log = await ref.ask("log")
    assert log[0] == "started"
    assert sorted(log[1:]) == [0, 1, 2]
    assert ref.statistics().restarts == 1


async def test_the_failing_message_is_not_run_again(system: ActorSystem) -> None:
    log: list[Any] = []
    ref = system.spawn(factory(Recorder, log), restart="permanent")

    async def note_and_fail(actor: Recorder) -> None:
        actor.note("ran")
        raise Boom

    await ref.tell(("do", note_and_fail))
    await ref.ask(1)
    assert log == ["ran", 1]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_restart_types(system: ActorSystem, restart: RestartType) -> None:
    async def leave(actor: Recorder) -> None:
        actor.context.stop_self()

    crashed = system.spawn(Recorder, restart=restart)
    await crash(crashed)
    assert crashed.alive is (restart != "temporary")
    ended = system.spawn(Recorder, restart=restart)
    await ended.ask(("do", leave))
    assert ended.alive is (restart == "permanent")


async def test_more_restarts_than_the_window_allows_escalate(system: ActorSystem) -> None:
    log: list[Any] = []
    spec = SupervisorSpec(intensity=2, period=60, children=three(log))
    supervisor = system.supervise(spec, "sup")
    await supervisor.ready()
    child = supervisor.children[0]
    for _ in range(3):
        await crash(child)
    await supervisor.gone()
    assert log[-2:] == ["b:stopped", "a:stopped"] or log[-1].endswith("stopped")
    with pytest.raises(ActorStopped) as caught:
        await supervisor.ready()
    assert isinstance(caught.value.reason, SupervisorFailed)
    assert isinstance(caught.value.reason.__cause__, Boom)


async def test_an_escalation_restarts_the_supervisor_with_fresh_children(
    system: ActorSystem,
) -> None:
    log: list[Any] = []
    inner = SupervisorSpec(intensity=0, children=three(log))
    outer = system.supervise(SupervisorSpec(children=(ChildSpec("inner", inner),)), "outer")
    await outer.ready()
    supervisor = outer.children[0]
    old = supervisor.children  # type: ignore[attr-defined]
    await crash(old[1])
    with anyio.fail_after(30):
        while not (len(supervisor.children) == 3 and supervisor.children[0] is not old[0]):  # type: ignore[attr-defined]
            await anyio.sleep(0.001)
    await supervisor.ready()
    assert not any(ref.alive for ref in old)
    assert await supervisor.children[1].ask(1) == 1  # type: ignore[attr-defined]


async def test_a_busy_parent_holds_no_restart_up(system: ActorSystem) -> None:
    class Parent(Recorder):
        async def started(self) -> None:
            self.child = self.context.spawn(Recorder, name="child", restart="permanent")

        async def handle(self, message: Any) -> Any:
            return self.child if message == "child" else await super().handle(message)

    parent = system.spawn(Parent)
    child = await parent.ask("child")
    await parent.tell("hang")
    await settle()
    await crash(child)
    assert await child.ask(1) == 1
    await parent.kill()


async def test_backoff_delays_a_restart(system: ActorSystem) -> None:
    backoff = Backoff(min=1, max=1, jitter=0)
    spec = SupervisorSpec(backoff=backoff, children=(ChildSpec("a", Recorder),))
    supervisor = system.supervise(spec)
    await supervisor.ready()
    child = supervisor.children[0]
    await crash(child)
    assert child.alive
    with anyio.move_on_after(0.001) as early:
        await child.ask(1)
    assert early.cancelled_caught
    assert child.statistics().state == "held"
    assert await child.ask(2) == 2


async def test_a_stop_does_not_wait_for_a_backoff(system: ActorSystem) -> None:
    backoff = Backoff(min=3600, max=3600)
    for strategy in ("one_for_one", "one_for_all"):
        spec = SupervisorSpec(strategy=strategy, backoff=backoff, children=three([]))
        supervisor = system.supervise(spec)
        await supervisor.ready()
        await crash(supervisor.children[1])
        await settle()
        with anyio.fail_after(30):
            await supervisor.stop()


async def test_one_child_waiting_for_its_restart_holds_no_other_up(system: ActorSystem) -> None:
    class SlowStop(Recorder):
        async def stopped(self) -> None:
            await anyio.sleep_forever()

    spec = SupervisorSpec(children=(ChildSpec("slow", SlowStop, shutdown=0.2), *three([])))
    supervisor = system.supervise(spec)
    await supervisor.ready()
    slow, a, *_ = supervisor.children
    await crash(slow)
    await crash(a)
    with anyio.fail_after(30):
        assert await a.ask(1) == 1
    assert slow.statistics().state == "held"


async def test_a_significant_child_ends_its_supervisor(system: ActorSystem) -> None:
    log: list[Any] = []
    lead = ChildSpec("lead", factory(Recorder, log), restart="transient", significant=True)
    supervisor = system.supervise(SupervisorSpec(children=(*three(log), lead)))
    await supervisor.ready()

    async def leave(actor: Recorder) -> None:
        actor.context.stop_self()

    await crash(supervisor.children[-1])
    assert supervisor.alive
    await supervisor.children[-1].ask(("do", leave))
    with anyio.fail_after(30):
        await supervisor.gone()
    assert log.count("a:stopped") == 1


async def test_dynamic_children(system: ActorSystem) -> None:
    supervisor = system.supervise(SupervisorSpec(), "sup")
    refs = [supervisor.start_child(ChildSpec(f"c{n}", Recorder)) for n in range(200)]
    assert len(supervisor.children) == 200
    with pytest.raises(ValueError):
        supervisor.start_child(ChildSpec("c1", Recorder))
    await supervisor.stop_child("c1")
    assert not refs[1].alive
    assert refs[2].path == "/test/sup/c2"
    with pytest.raises(KeyError):
        await supervisor.stop_child("c1")
    supervisor.start_child(ChildSpec("c1", Recorder))
    await crash(refs[5])
    assert await refs[5].ask(1) == 1


async def test_temporary_children_end_with_their_group(system: ActorSystem) -> None:
    children = (ChildSpec("a", Recorder), ChildSpec("t", Recorder, restart="temporary"))
    supervisor = system.supervise(SupervisorSpec(strategy="one_for_all", children=children))
    await supervisor.ready()
    a, t = supervisor.children
    await crash(a)
    await a.ask(1)
    assert not t.alive
    assert supervisor.children == (a,)


async def test_a_start_that_fails_in_a_group_is_tried_again(system: ActorSystem) -> None:
    tries = 0

    class Shaky(Recorder):
        async def started(self) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                raise Boom("second start")

    spec = SupervisorSpec(
        strategy="one_for_all",
        intensity=5,
        children=(ChildSpec("a", Recorder), ChildSpec("s", Shaky), ChildSpec("z", Recorder)),
    )
    supervisor = system.supervise(spec)
    await supervisor.ready()
    a, s, z = supervisor.children
    await crash(a)
    with anyio.fail_after(30):
        for ref in (a, s, z):
            await ref.ask(1)
    assert tries == 3


async def test_a_factory_that_fails_at_a_restart_counts_as_a_failure(system: ActorSystem) -> None:
    made = 0

    def make() -> Actor:
        nonlocal made
        made += 1
        if made == 2:
            raise Boom("second instance")
        return Recorder()

    ref = system.spawn(make, restart="permanent")
    await crash(ref)
    with anyio.fail_after(30):
        assert await ref.ask(1) == 1
    assert made == 3


async def test_monitors_bring_one_down(system: ActorSystem) -> None:
    log: list[Any] = []
    targets = [system.spawn(Recorder, name=f"t{n}") for n in range(4)]

    async def watch(actor: Recorder) -> None:
        for target in targets:
            actor.context.monitor(target)
            actor.context.monitor(target)
        actor.context.demonitor(targets[3])

    watcher = system.spawn(factory(Recorder, log))
    await watcher.ask(("do", watch))
    await targets[0].stop()
    await crash(targets[1])
    await targets[2].kill()
    await targets[3].stop()
    await watcher.ask("end")
    assert [entry[1] for entry in log[:3]] == ["t0", "t1", "t2"]
    assert [type(entry[2]) for entry in log[:3]] == [type(None), Boom, Killed]
    assert log[3] == "end"
    await watcher.ask(("do", watch))
    await watcher.ask("end")
    assert [entry[1] for entry in log[4:-1]] == ["t0", "t1", "t2", "t3"] * 1 or len(log) > 8


async def test_down_comes_after_what_was_sent_before(system: ActorSystem) -> None:
    log: list[Any] = []
    watcher = system.spawn(factory(Recorder, log), mailbox=4)

    async def talk(actor: Recorder) -> None:
        for number in range(4):
            await watcher.tell(number)
        raise Boom

    target = system.spawn(Recorder, name="talker")

    async def watch(actor: Recorder) -> None:
        actor.context.monitor(target)
        await target.tell(("do", talk))
        await anyio.sleep(0.01)

    await watcher.ask(("do", watch))
    await watcher.ask("end")
    assert log[:4] == [0, 1, 2, 3]
    assert log[4][:2] == ("down", "talker")


async def test_a_down_that_nobody_handles_is_a_crash(system: ActorSystem) -> None:
    class Watches(Actor):
        def __init__(self, target: Any) -> None:
            self.target = target

        async def started(self) -> None:
            self.context.monitor(self.target)

    target = system.spawn(Recorder)
    watcher = system.spawn(lambda: Watches(target))
    await watcher.ready()
    await crash(target)
    with anyio.fail_after(30):
        await watcher.gone()


async def test_links_fail_together(system: ActorSystem) -> None:
    one, two, three_ = (system.spawn(Recorder) for _ in range(3))

    async def link(actor: Recorder) -> None:
        actor.context.link(two)
        actor.context.link(three_)
        actor.context.unlink(three_)

    await one.ask(("do", link))
    await crash(two)
    with anyio.fail_after(30):
        await one.gone()
    assert three_.alive


async def test_a_normal_end_breaks_a_link_quietly(system: ActorSystem) -> None:
    one, two = (system.spawn(Recorder) for _ in range(2))

    async def link(actor: Recorder) -> None:
        actor.context.link(two)

    await one.ask(("do", link))
    await two.stop()
    assert await one.ask(1) == 1


async def test_a_crash_that_no_asker_hears_of_is_logged_once_a_second(
    system: ActorSystem, quiet: pytest.LogCaptureFixture
) -> None:
    spec = SupervisorSpec(intensity=100, children=(ChildSpec("a", Recorder),))
    supervisor = system.supervise(spec)
    await supervisor.ready()
    child = supervisor.children[0]
    for _ in range(5):
        await child.tell("boom")
    await child.ask(1)
    errors = [record for record in quiet.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    quiet.clear()
    await crash(child)
    assert not quiet.records


async def test_an_expected_crash_is_one_line_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Leaver(Actor):
        expected = (Boom,)

        async def receive(self, message: object) -> None:
            raise Boom("the server went away")

    async with open_system("s") as system:
        ref = system.spawn(Leaver, name="leaver")
        await ref.tell("go")
        await ref.gone()
    (record,) = [r for r in caplog.records if r.name == "nexau.actors"]
    assert record.getMessage() == "/s/leaver crashed: the server went away"
    assert record.exc_info is None
