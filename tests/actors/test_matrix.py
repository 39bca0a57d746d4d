"""The failure matrix: (what goes wrong) x (in which phase of life) x (strategy).

Each cell runs a supervisor with three children; the middle one, the victim, is brought into a
phase and struck. `CELLS` states what the asker of the stroke sees and what the supervisor does:
how many instances of the victim there are in all, whether it is `gone` for good, and whether the
supervisor itself was restarted (`sup`). `check_siblings` states whom the strategy takes along, and
`check_the_rest` what is left behind: nothing.
"""

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
    ChildSpec,
    Refused,
    SupervisorRef,
    SupervisorSpec,
    open_system,
)
from nexau.actors.specs import Strategy
from tests.actors.actors_for_tests import Boom
from tests.actors.conftest import settle, tasks_now

pytestmark = pytest.mark.anyio

CELLS = """
                    | starting  | idle      | running   | suspended | restarting | stopping
error               | Wrong 1   | Wrong 1   | Wrong 1   | Wrong 1   | Wrong 2    | Stopped 1 gone
cancellation        | - 1       | - 1       | - 1       | - 1       | - 2        | Stopped 1 gone
timeout             | Timeout 1 | Timeout 1 | Timeout 1 | Timeout 1 | Timeout 2  | Stopped 1 gone
kill                | - 2 sup   | - 1 gone  | - 1 gone  | - 1 gone  | - 1 gone   | - 1 gone
crash in start hook | Boom 3    | Boom 3    | Boom 3    | Boom 3    | Boom 4     | Stopped 1 gone
crash in handler    | Boom 2    | Boom 2    | Boom 2    | Boom 2    | Boom 3     | Stopped 1 gone
crash in stop hook  | Boom 2    | Boom 2    | Boom 2    | Boom 2    | Boom 3     | Stopped 1 gone
crash in child      | Crash 2   | Crash 2   | Crash 2   | Crash 2   | Crash 3    | Stopped 1 gone
crash in supervisor | - 2 sup   | - 2 sup   | - 2 sup   | - 2 sup   | - 2 sup    | - 2 sup
"""
SEEN = {
    "-": (None,),
    "Wrong": ("Wrong",),
    "Boom": ("Boom",),
    "Timeout": ("AskTimeout",),
    "Stopped": ("ActorStopped",),
    # Of a linked child that the victim asks: its error rises, or the link ends the handler first.
    "Crash": ("Boom", "ActorStopped"),
}
_HEAD, *_ROWS = (
    [cell.strip() for cell in line.split("|")] for line in CELLS.strip("\n").split("\n")
)
PHASES = tuple(_HEAD[1:])
TABLE = {row[0]: dict(zip(PHASES, row[1:], strict=True)) for row in _ROWS}
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
STRIKES = {
    "error": "error",
    "cancellation": "hang",
    "timeout": "hang",
    "crash in start hook": "crash",
    "crash in handler": "crash",
    "crash in stop hook": "crash",
    "crash in child": "child",
}
"""The message that the stroke asks."""


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
                raise Refused(Wrong("a reply"))
            case "crash":
                raise Boom("handler")
            case "suspend":
                await self.orders.message_gate.wait()
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


class Wrong(Exception):
    """An error that is an answer."""


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
        self.seen: dict[str, str] = {}
        """What each asker got: the name of an error, or `answer`."""
        self.starts = Counter[str]()
        """Instances made of each child."""
        children = (
            ChildSpec("before", self.made("before", Child)),
            ChildSpec("victim", self.made("victim", lambda: Victim(self.orders)), shutdown=1.0),
            ChildSpec("after", self.made("after", Child)),
        )
        spec = SupervisorSpec(strategy=strategy, intensity=3, period=3600, children=children)
        self.top = system.supervise(SupervisorSpec(children=(ChildSpec("sup", spec),)), "top")

    def made(self, name: str, factory: Callable[[], Actor]) -> Callable[[], Actor]:
        def make() -> Actor:
            self.starts[name] += 1
            return factory()

        return make

    @property
    def supervisor(self) -> SupervisorRef:
        ref = self.top.children[0]
        assert isinstance(ref, SupervisorRef)
        return ref

    @property
    def victim(self) -> ActorRef:
        return next(child for child in self.supervisor.children if child.name == "victim")

    async def ask(self, message: str, timeout: float | None = None) -> None:
        try:
            await self.victim.ask(message, timeout=timeout)
        except (Boom, Wrong, ActorStopped, AskTimeout) as error:
            self.seen[message] = type(error).__name__
        else:
            self.seen[message] = "answer"


async def bring(scene: Scene, phase: str, group: Any) -> None:
    """Bring the victim into a phase of its life."""
    orders = scene.orders
    if phase != "starting":
        orders.start_gate.set()
    await settle()
    if phase in ("running", "suspended"):
        group.start_soon(scene.ask, "suspend")
    elif phase == "restarting":
        group.start_soon(scene.ask, "crash")
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
            group.start_soon(scene.ask, "crash")
        case "crash in handler":
            group.start_soon(scene.ask, "crash")
        case "crash in stop hook":
            orders.fail_stop = 1
            group.start_soon(scene.ask, "crash")
        case "crash in child":
            group.start_soon(scene.ask, "child")
        case "crash in supervisor":
            scene.supervisor._actor.context.start_soon(fail_in_supervisor)
    await settle()


async def fail_in_supervisor() -> None:
    raise Boom("supervisor")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("failure", TABLE)
async def test_cell(failure: str, phase: str, strategy: Strategy) -> None:
    tasks = tasks_now()
    async with open_system("m", seed=1) as system:
        scene = Scene(system, strategy)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await bring(scene, phase, group)
                await strike(scene, failure, group)
                scene.orders.open_all()
            await check_the_cell(scene, failure, phase, strategy)
        await check_the_rest(scene)
    assert system.statistics().actors == 0
    assert system.dead_letters.count == 0
    assert tasks_now() == tasks


async def check_the_cell(scene: Scene, failure: str, phase: str, strategy: Strategy) -> None:
    await scene.top.ready()
    await settle()
    seen, instances, *end = TABLE[failure][phase].split()
    if failure in STRIKES:
        expected = SEEN[seen]
        if (failure, phase) == ("cancellation", "stopping"):
            expected = (*expected, None)  # refused at once, or cancelled first
        assert scene.seen.get(STRIKES[failure]) in expected
    if phase in ("running", "suspended"):  # the message before
        cut_off = (failure, phase) == ("kill", "suspended")
        assert scene.seen["suspend"] == ("ActorStopped" if cut_off else "answer")
    elif phase == "restarting":
        assert scene.seen["crash"] == "Boom"
    assert scene.starts["victim"] == scene.orders.starts == int(instances)
    there = "gone" not in end
    assert [child.name for child in scene.supervisor.children] == (
        ["before", "victim", "after"] if there else ["before", "after"]
    )
    assert scene.supervisor.statistics().restarts == int("sup" in end)
    # Whatever it was that ended an instance, its stop hook has run, once.
    assert scene.orders.stops == int(instances) - there
    if "sup" not in end:
        check_siblings(scene, phase, strategy)


def check_siblings(scene: Scene, phase: str, strategy: Strategy) -> None:
    """Whom the strategy takes along: nobody, all, or those that were started later."""
    before, victim, after = (scene.starts[name] for name in ("before", "victim", "after"))
    if phase == "restarting":
        victim = max(
            victim, 2
        )  # killed in the middle of it, it takes the others along all the same
    assert before == (victim if strategy == "one_for_all" else 1)
    if strategy == "one_for_one":
        assert after == 1
    else:
        # One that fails again at once takes along what is not up yet, at no further start.
        assert min(victim, 1 + (phase != "starting")) <= after <= victim


async def check_the_rest(scene: Scene) -> None:
    """All that is to be there is up, and there is nothing else."""
    for child in scene.supervisor.children:
        await child.ready()
        assert await child.ask("alive?") == "alive?"
    victims = sum(child.name == "victim" for child in scene.supervisor.children)
    assert scene.system.statistics().actors == 5 + 2 * victims, scene.system.tree()
