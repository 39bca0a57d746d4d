"""The simulator's world: a random program of actors and clients, and the checks on it."""

from collections import Counter
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import Struct

from nexau.actors._states import HELD
from nexau.actors.actor import Actor
from nexau.actors.errors import (
    ActorError,
    ActorStopped,
    AskTimeout,
    Deadlock,
    MailboxFull,
    Refused,
    SupervisorFailed,
)
from nexau.actors.ref import ActorRef
from nexau.actors.signals import Event
from nexau.actors.specs import Backoff, ChildSpec, SupervisorSpec
from nexau.actors.system import ActorSystem, open_system

FOREVER = 1e6
"""Virtual seconds after which a client that still waits has been forgotten."""


class Order(Struct, frozen=True):
    """A message: who sends it, and what its handler does."""

    id: int
    sender: str
    steps: tuple[tuple[Any, ...], ...]


class SimulatedCrash(Exception):
    pass


class World:
    """Everything that one seed decides, and everything that is seen."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.trace: list[str] = []
        self.violations: list[str] = []
        self.sent: dict[int, str] = {}
        """Message to its fate: waiting, told, answered, failed, refused, withdrawn, dead."""
        self.handled: Counter[int] = Counter()
        self.again: set[int] = set()
        """Messages that crashed an actor whose next instance is to try them again."""
        self.running: Counter[str] = Counter()
        self.latest: dict[tuple[str, str], int] = {}
        self.stamps: dict[str, list[float]] = {}
        self.exceeded: set[str] = set()
        self.targets: list[ActorRef] = []
        self.pooled: set[str] = set()

    def note(self, *parts: Any) -> None:
        self.trace.append(f"{anyio.current_time():.6f} " + " ".join(map(str, parts)))

    def violated(self, what: str) -> None:
        self.note("VIOLATION", what)
        self.violations.append(what)

    # -- making orders

    def order(self, sender: str, depth: int = 0) -> Order:
        number = len(self.sent)
        self.sent[number] = "waiting"
        steps = tuple(self.step(depth) for _ in range(self.random.choice((0, 1, 1, 2, 3))))
        return Order(number, sender, steps)

    def step(self, depth: int) -> tuple[Any, ...]:
        random = self.random
        kinds = ["turn", "turn", "sleep", "sleep", "crash", "refuse", "group", "slow"]
        if depth < 3:
            kinds += ["ask", "ask", "tell", "child", "task"]
        if random.random() < 0.03:
            kinds = ["leave", "hang"]
        kind = random.choice(kinds)
        if kind in ("ask", "tell"):
            return (kind, random.randrange(1000), depth + 1)
        if kind == "sleep":
            return (kind, random.choice((0.0, 0.001, 0.01, 0.5)))
        return (kind,)

    # -- checks as things happen

    def begins(self, order: Order, ref: ActorRef) -> None:
        path = ref.path
        self.note("begin", path, order.id)
        self.handled[order.id] += 1
        if self.handled[order.id] > 1 and order.id not in self.again:
            self.violated(f"message {order.id} is handled twice")
        self.running[path] += 1
        if self.running[path] > 1:
            self.violated(f"{path} handles two messages at once")
        if not ref.alive:
            self.violated(f"{path} handles message {order.id} after its stop")
        if path not in self.pooled:
            key = (order.sender, path)
            if self.latest.get(key, -1) > order.id:
                self.violated(f"{path} handles message {order.id} of {order.sender} out of order")
            self.latest[key] = order.id

    def ends(self, order: Order, ref: ActorRef) -> None:
        self.running[ref.path] -= 1
        self.note("end", ref.path, order.id)

    def see(self, event: Event) -> None:
        """The hook: also keeps a restart window of its own beside the kernel's."""
        ref = event.ref
        self.note(event.kind, ref.path, type(event.detail).__name__)
        if event.kind == "dead_letter" and isinstance(event.detail.message, Order):
            self.sent[event.detail.message.id] = "dead"
        parent = ref._parent
        if event.kind == "failed" and parent is not None and parent._family is not None:
            if ref._policy.restart != "temporary" and parent._state < HELD:
                spec = parent._family.spec
                now = anyio.current_time()
                stamps = self.stamps.setdefault(parent.path, [])
                stamps.append(now)
                recent = [stamp for stamp in stamps if stamp >= now - spec.period]
                if len(recent) > spec.intensity:
                    self.exceeded.add(parent.path)
            if not isinstance(event.detail, (SimulatedCrash, ActorError)):
                self.violated(f"{ref.path} failed with {event.detail!r}")
        elif event.kind in ("escalated", "stopped", "restarted"):
            self.exceeded.discard(ref.path)
            self.stamps.pop(ref.path, None)
        if event.kind == "restarted" and parent is not None and parent.path in self.exceeded:
            self.violated(f"{parent.path} restarts more often than its window allows")

    def check_messages(self) -> None:
        for number, fate in self.sent.items():
            if fate == "waiting":
                self.violated(f"message {number}: its sender never heard of it")
            elif fate == "told" and not self.handled[number]:
                self.violated(f"message {number} is lost without a dead letter")
            elif fate == "answered" and not self.handled[number]:
                self.violated(f"message {number} is answered, but was not handled")


class SimActor(Actor):
    """Does what its orders say."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slow_start = world.random.random() < 0.2
        self.fails_start = world.random.random() < 0.05
        self.slow_stop = world.random.random() < 0.2

    async def started(self) -> None:
        if self.slow_start:
            await anyio.sleep(0.01)
        if self.fails_start:
            raise SimulatedCrash("start")

    async def stopped(self) -> None:
        if self.slow_stop:
            await anyio.sleep(0.02)

    async def receive(self, message: Order) -> int:
        ref = self.context.ref
        self.world.begins(message, ref)
        try:
            for step in message.steps:
                await self.do(step, message)
        finally:
            self.world.ends(message, ref)
        return message.id

    async def do(  # noqa: C901 - one case for each kind of step
        self, step: tuple[Any, ...], order: Order
    ) -> None:
        world = self.world
        match step:
            case ("turn",):
                await anyio.lowlevel.checkpoint()
            case ("sleep", seconds):
                await anyio.sleep(seconds)
            case ("slow",):
                await anyio.sleep(3)
            case ("hang",):
                await anyio.sleep(500)
            case ("crash",):
                if self.context.ref._policy.retries:
                    world.again.add(order.id)
                raise SimulatedCrash(order.id)
            case ("refuse",):
                raise Refused("not now")
            case ("leave",):
                self.context.stop_self()
            case ("group",):
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 0.001)
                    group.start_soon(anyio.lowlevel.checkpoint)
            case ("child",):
                child = self.context.spawn(lambda: SimActor(world))
                world.targets.append(child)
            case ("task",):
                self.context.start_soon(anyio.sleep, 2)
            case ("ask" | "tell" as kind, index, depth):
                target = world.targets[index % len(world.targets)]
                inner = world.order(f"{self.context.ref.path}#{order.id}", depth)
                await send(world, target, inner, kind, 2.0)


async def send(world: World, target: ActorRef, order: Order, how: str, patience: float) -> None:
    """Send an order, and write down what became of it."""
    world.note(how, target.path, order.id, order.steps)
    fate = "withdrawn"
    try:
        if how == "tell":
            await target.tell(order)
            fate = "told"
        elif how == "tell_nowait":
            target.tell_nowait(order)
            fate = "told"
        else:
            timeout = patience if how == "ask_timeout" else None
            answer = await target.ask(order, timeout=timeout)
            fate = "answered"
            if answer != order.id:
                world.violated(f"message {order.id} got the answer {answer}")
    except MailboxFull:
        fate = "refused"
    except Deadlock:
        fate = "refused"
    except (ActorStopped, AskTimeout, SimulatedCrash, ActorError):
        fate = "failed"
    finally:
        if world.sent[order.id] == "waiting":
            world.sent[order.id] = fate
        world.note(how, target.path, order.id, "->", fate)


async def client(world: World, name: str, ops: int) -> None:
    random = world.random
    for _ in range(ops):
        target = world.targets[random.randrange(len(world.targets))]
        how = random.choice(("tell", "tell", "tell_nowait", "ask", "ask", "ask_timeout", "cancel"))
        roll = random.random()
        if roll < 0.04:
            world.note("kill", target.path)
            await target.kill()
        elif roll < 0.06:
            world.note("stop", target.path)
            await target.stop()
        elif roll < 0.10:
            await anyio.sleep(random.choice((1, 30, 600)))  # the clock jumps
        elif how == "cancel":
            with anyio.move_on_after(random.choice((0.0, 0.001, 0.4))):
                await send(world, target, world.order(name), "ask", 0)
        else:
            await send(world, target, world.order(name), how, random.choice((0.001, 1.0)))
        if random.random() < 0.5:
            await anyio.lowlevel.checkpoint()


def build(world: World, system: ActorSystem) -> None:
    """A random tree."""
    random = world.random

    def make() -> SimActor:
        return SimActor(world)

    for number in range(random.randint(1, 3)):
        children = tuple(
            ChildSpec(
                f"c{index}",
                make,
                restart=random.choice(("permanent", "transient", "temporary")),
                shutdown=random.choice((0.0, 0.5, 5.0)),
                mailbox=random.choice((1, 2, 8)),
                significant=random.random() < 0.05,
                waiting=random.choice(("keep", "keep", "fail")),
                retries=random.choice((0, 0, 0, 0, 1, 3)),
            )
            for index in range(random.randint(1, 4))
        )
        jittered = Backoff(min=0.1, max=2.0, reset_after=5.0)
        spec = SupervisorSpec(
            strategy=random.choice(("one_for_one", "one_for_all", "rest_for_one")),
            intensity=random.randint(0, 4),
            period=random.choice((1.0, 5.0, 60.0)),
            backoff=jittered if random.random() < 0.3 else None,
            children=children,
        )
        top = SupervisorSpec(intensity=1000, children=(ChildSpec("sup", spec),))
        system.supervise(top, f"top{number}")
    for number in range(random.randint(1, 4)):
        mailbox = random.choice((1, 4))
        world.targets.append(system.spawn(make, name=f"a{number}", mailbox=mailbox))
    pool = system.pool(make, "pool", size=random.randint(1, 3), mailbox=2)
    world.pooled.update(f"{pool.path}/${number}" for number in range(1, 1000))
    world.targets.append(pool)


def gather(world: World, ref: ActorRef) -> None:
    for child in ref._family.children.values() if ref._family is not None else ():
        if child._family is None and child not in world.targets and child._parent is not None:
            world.targets.append(child)
        gather(world, child)


async def play(world: World) -> None:
    """The whole program of a seed."""
    random = world.random
    opened: list[ActorSystem] = []
    with anyio.move_on_after(FOREVER) as scope:
        try:
            async with open_system("sim", seed=world.seed) as system:
                opened.append(system)
                system.subscribe(world.see)
                build(world, system)
                await anyio.sleep(0.05)
                gather(world, system.root)
                async with anyio.create_task_group() as group:
                    for number in range(random.randint(1, 5)):
                        group.start_soon(client, world, f"client{number}", random.randint(3, 20))
                if random.random() < 0.2:
                    raise SimulatedCrash("the block")
        except (SimulatedCrash, SupervisorFailed):
            pass
    if scope.cancelled_caught:
        world.violated("something waits for ever")
    if not opened or opened[0].statistics().actors:
        world.violated("actors are left")
    world.check_messages()
