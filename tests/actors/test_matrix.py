"""The failure matrix: (what goes wrong) x (in which phase of life) x (strategy).

Each cell runs a supervisor with three children; the middle one, the victim, is brought into a
phase and struck. The cell states what the asker sees, what the supervisor does, and that nothing
is left behind: no task, no actor, no silent loss.
"""

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
    ChildSpec,
    SupervisorRef,
    SupervisorSpec,
    open_system,
)
from nexau.actors.specs import Strategy
from tests.actors.actors_for_tests import Boom
from tests.actors.conftest import settle, tasks_now

pytestmark = pytest.mark.anyio

FAILURES = (
    "error", "cancellation", "timeout", "kill", "crash in start hook", "crash in stop hook",
    "crash in child", "crash in supervisor",
)  # fmt: skip
PHASES = ("starting", "idle", "running", "suspended", "restarting", "stopping")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")


class Victim(Actor):
    """Its hooks wait at gates and fail on order."""

    starts = 0

    def __init__(self, orders: "Orders") -> None:
        self.orders = orders

    async def started(self) -> None:
        self.orders.starts += 1
        self.child = self.context.spawn(Child, name="child")
        await self.orders.start_gate.wait()
        if self.orders.fail_start:
            self.orders.fail_start -= 1
            raise Boom("start hook")

    async def receive(self, message: Any) -> Any:
        self.orders.handled.append(message)
        match message:
            case "error":
                raise Boom("handler")
            case "suspend":
                await self.orders.message_gate.wait()
            case "suspended error":
                await self.orders.message_gate.wait()
                raise Boom("handler")
            case "hang":
                await anyio.sleep_forever()
            case "child":
                self.context.link(self.child)
                await self.child.ask("boom")
        return message

    async def stopped(self) -> None:
        self.orders.stops += 1
        await self.orders.stop_gate.wait()
        if self.orders.fail_stop:
            self.orders.fail_stop -= 1
            raise Boom("stop hook")


class Child(Actor):
    async def receive(self, message: Any) -> Any:
        if message == "boom":
            raise Boom("child")
        return message


class Orders:
    def __init__(self) -> None:
        self.starts = self.stops = 0
        self.fail_start = self.fail_stop = 0
        self.handled: list[Any] = []
        self.start_gate, self.message_gate, self.stop_gate = (anyio.Event() for _ in range(3))

    def open_all(self) -> None:
        for gate in (self.start_gate, self.message_gate, self.stop_gate):
            gate.set()


class Scene:
    """One cell of the matrix."""

    def __init__(self, system: ActorSystem, strategy: Strategy) -> None:
        self.system = system
        self.orders = Orders()
        self.outcome: dict[Any, Any] = {}
        sibling = Child
        spec = SupervisorSpec(
            strategy=strategy,
            intensity=3,
            period=3600,
            children=(
                ChildSpec("before", sibling),
                ChildSpec("victim", lambda: Victim(self.orders), shutdown=1.0),
                ChildSpec("after", sibling),
            ),
        )
        self.top = system.supervise(SupervisorSpec(children=(ChildSpec("sup", spec),)), "top")

    @property
    def supervisor(self) -> SupervisorRef:
        ref = self.top.children[0]
        assert isinstance(ref, SupervisorRef)
        return ref

    @property
    def victim(self) -> ActorRef:
        return next(child for child in self.supervisor.children if child.name == "victim")

    async def ask(self, message: Any, timeout: float | None = None) -> None:
        try:
            self.outcome[message] = await self.victim.ask(message, timeout=timeout)
        except (Boom, ActorStopped, AskTimeout) as error:
            self.outcome[message] = error


async def bring(scene: Scene, phase: str, group: Any) -> None:
    """Bring the victim into a phase of its life."""
    orders = scene.orders
    if phase != "starting":
        orders.start_gate.set()
    await settle()
    if phase in ("running", "suspended"):
        group.start_soon(scene.ask, "suspend")
    elif phase == "restarting":
        group.start_soon(scene.ask, "error")
    elif phase == "stopping":
        group.start_soon(scene.victim.stop)
    await settle()
    if phase == "running":  # the message before has just ended: no suspension in between
        orders.message_gate.set()
    if phase not in ("restarting", "stopping"):
        orders.stop_gate.set()


async def strike(scene: Scene, failure: str, group: Any) -> None:
    orders, victim = scene.orders, scene.victim
    match failure:
        case "error":
            group.start_soon(scene.ask, "error")
        case "cancellation":
            with anyio.move_on_after(0.002):
                await scene.ask("hang")
        case "timeout":
            await scene.ask("hang", timeout=0.002)
        case "kill":
            group.start_soon(victim.kill)
        case "crash in start hook":
            orders.fail_start = 1
            group.start_soon(scene.ask, "error")
        case "crash in stop hook":
            orders.fail_stop = 1
            group.start_soon(scene.ask, "error")
        case "crash in child":
            group.start_soon(scene.ask, "child")
        case "crash in supervisor":
            supervisor = scene.supervisor
            assert supervisor is not None
            supervisor._actor.context.start_soon(fail_in_supervisor)
    await settle()


async def fail_in_supervisor() -> None:
    raise Boom("supervisor")


def lasting(failure: str, phase: str) -> bool:
    """Whether the victim is to be there in the end: only an order to end is for good, and the
    restart of its supervisor, here after a failed start too, starts it anew."""
    if failure == "crash in supervisor" or (failure, phase) == ("kill", "starting"):
        return True
    return failure != "kill" and phase != "stopping"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("failure", FAILURES)
async def test_cell(failure: str, phase: str, strategy: Strategy) -> None:
    tasks = tasks_now()
    async with open_system("m", seed=1) as system:
        scene = Scene(system, strategy)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await bring(scene, phase, group)
                await strike(scene, failure, group)
                scene.orders.open_all()
        await check_the_end(scene, failure, phase)
        statistics = system.statistics()
        assert statistics.actors == (7 if lasting(failure, phase) else 5), system.tree()
    assert system.statistics().actors == 0
    assert tasks_now() == tasks


async def check_the_end(scene: Scene, failure: str, phase: str) -> None:
    with anyio.fail_after(10):
        await scene.top.ready()
        await until(lambda: len(scene.supervisor.children) == 2 + lasting(failure, phase))
        for child in scene.supervisor.children:
            await child.ready()
            assert await child.ask("alive?") == "alive?"
    seen = scene.outcome
    over = phase == "stopping"  # then an asker is told at once
    match failure:
        case "error" | "crash in start hook" | "crash in stop hook":
            assert isinstance(seen["error"], ActorStopped if over else Boom)
        case "crash in child":
            assert isinstance(seen["child"], ActorStopped if over else (Boom, ActorStopped))
        case "timeout":
            assert isinstance(seen["hang"], ActorStopped if over else AskTimeout)
        case "kill" if phase == "suspended":
            assert isinstance(seen["suspend"], ActorStopped)
        case "crash in supervisor" if phase == "suspended":
            assert seen["suspend"] == "suspend" or isinstance(seen["suspend"], ActorStopped)
        case "cancellation":
            assert "hang" not in seen or over


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.sleep(0.001)
