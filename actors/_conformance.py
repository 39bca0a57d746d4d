"""Checks of anyone's kind of mailbox or supervisor against docs/semantics.md."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from nexau.actors._faults import Address
from nexau.actors.actor import Actor
from nexau.actors.errors import ActorStopped, AskTimeout, MailboxFull, Refused
from nexau.actors.ref import ActorRef
from nexau.actors.specs import ChildSpec, SupervisorSpec


class Supervises(Protocol):
    """What starts children and keeps them alive."""

    @property
    def children(self) -> tuple[ActorRef, ...]: ...
    def start_child(self, spec: ChildSpec) -> ActorRef: ...
    async def stop_child(self, child_id: str) -> None: ...
    async def ready(self) -> None: ...
    async def gone(self) -> None: ...


class _Subject(Actor):
    """The actor behind a mailbox under check."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.at_once = self.most = 0

    async def receive(self, message: Any) -> Any:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            match message:
                case "suspend":
                    await anyio.lowlevel.checkpoint()
                case ("wait", gate):
                    await gate.wait()
                case "refuse":
                    raise Refused(LookupError("refused"))
                case "seen":
                    return list(self.seen)
                case "most":
                    return self.most
                case _:
                    self.seen.append(message)
                    await anyio.lowlevel.checkpoint()
            return message
        finally:
            self.at_once -= 1


def expect(condition: object, promise: str) -> None:
    if not condition:
        raise AssertionError(f"not kept: {promise}")


async def check_mailbox(make: Callable[[Callable[[], Actor], int], Address]) -> None:
    """Check an address that `make(factory, capacity)` puts before a new actor."""
    await _keeps_order(make(_Subject, 4))
    await _handles_one_at_a_time(make(_Subject, 4))
    await _keeps_its_bound(make(_Subject, 2))
    await _serves_who_waits_in_order(make(_Subject, 1))
    await _takes_back(make(_Subject, 1))
    await _cancels_the_work(make(_Subject, 4))
    await _replies_with_refusals(make(_Subject, 4))
    await _meets_deadlines(make(_Subject, 4))
    await _fails_askers_at_the_end(make(_Subject, 4))


async def _keeps_order(address: Address) -> None:
    for number in range(50):
        await address.tell(number)
    expect(await address.ask("seen") == list(range(50)), "FIFO for each sender")
    await address.stop()


async def _handles_one_at_a_time(address: Address) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(address.ask, "suspend")
    expect(await address.ask("most") == 1, "one message at a time")
    await address.stop()


async def _keeps_its_bound(address: Address) -> None:
    gate = anyio.Event()
    await address.tell(("wait", gate))
    taken = 0
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    try:
        for number in range(10):
            address.tell_nowait(number)
            taken += 1
    except MailboxFull:
        pass
    gate.set()
    expect(taken <= 2, "a mailbox never holds more than its bound")
    expect(await address.ask("seen") == list(range(taken)), "what is taken is delivered")
    await address.stop()


async def _takes_back(address: Address) -> None:
    gate = anyio.Event()
    await address.tell(("wait", gate))
    with anyio.move_on_after(0.02):
        await address.ask("given up")
    gate.set()
    expect(await address.ask("seen") == [], "a cancelled ask takes its message back")
    await address.stop()


async def _serves_who_waits_in_order(address: Address) -> None:
    gate = anyio.Event()
    await address.tell(("wait", gate))
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(address.tell, number)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
        gate.set()
    expect(await address.ask("seen") == list(range(6)), "who waits for room first is served first")
    await address.stop()


async def _cancels_the_work(address: Address) -> None:
    gate = anyio.Event()
    with anyio.move_on_after(0.02):
        await address.ask(("wait", gate))
    with anyio.move_on_after(5) as scope:
        await address.ask("suspend")
    expect(not scope.cancelled_caught, "a cancelled ask cancels the work on it, and no more")
    await address.stop()


async def _replies_with_refusals(address: Address) -> None:
    try:
        await address.ask("refuse")
    except LookupError:
        expect(await address.ask("suspend") == "suspend", "a refusal is a reply, not a crash")
        await address.stop()
        return
    raise AssertionError("not kept: the asker gets the error of a refusal")


async def _meets_deadlines(address: Address) -> None:
    try:
        with anyio.fail_after(5):
            await address.ask(("wait", anyio.Event()), timeout=0.01)
    except AskTimeout:
        expect(await address.ask("suspend") == "suspend", "an actor outlives a late answer")
        await address.stop()
        return
    except TimeoutError:
        pass
    raise AssertionError("not kept: an ask past its timeout raises AskTimeout")


async def _fails_askers_at_the_end(address: Address) -> None:
    await address.ask("suspend")
    await address.stop()
    try:
        with anyio.fail_after(5):
            await address.ask("late")
    except ActorStopped:
        return
    raise AssertionError("not kept: an ask of an actor that has ended raises ActorStopped")


class _Fragile(Actor):
    def __init__(self, log: list[str], name: str) -> None:
        self._log, self._name = log, name

    async def started(self) -> None:
        self._log.append(f"+{self._name}")

    async def stopped(self) -> None:
        self._log.append(f"-{self._name}")

    async def receive(self, message: Any) -> Any:
        if message == "crash":
            raise ZeroDivisionError
        return message


async def check_supervisor(
    start: Callable[[SupervisorSpec], Supervises | Awaitable[Supervises]],
) -> None:
    """Check what `start(spec)` returns: strategies, order, window, dynamic children."""
    expected = {
        "one_for_one": ["-b", "+b"],
        "one_for_all": ["-c", "-b", "-a", "+a", "+b", "+c"],
        "rest_for_one": ["-c", "-b", "+b", "+c"],
    }
    for strategy, order in expected.items():
        log: list[str] = []
        supervisor = await _open(start, strategy, log, intensity=2)
        expect(log == ["+a", "+b", "+c"], "children start in order")
        log.clear()
        await _crash(supervisor.children[1])
        for child in supervisor.children:
            await child.ask("up?")
        expect(log == order, f"{strategy} restarts {order}")
        for _ in range(2):
            await _crash(supervisor.children[0])
        with anyio.fail_after(5):
            await supervisor.gone()
        expect(log.count("-a") == log.count("+a") + 1, "nothing is left after an escalation")
    await _check_dynamic(start)


async def _check_dynamic(
    start: Callable[[SupervisorSpec], Supervises | Awaitable[Supervises]],
) -> None:
    log: list[str] = []
    supervisor = await _open(start, "one_for_one", log, intensity=2)
    ref = supervisor.start_child(ChildSpec("d", lambda: _Fragile(log, "d"), restart="temporary"))
    expect(await ref.ask(1) == 1, "a child can be added")
    await supervisor.stop_child("d")
    expect(log[-2:] == ["+d", "-d"] and not ref.alive, "a child can be stopped")
    expect(len(supervisor.children) == 3, "a stopped child is forgotten")


async def _open(start: Any, strategy: Any, log: list[str], intensity: int) -> Supervises:
    children = tuple(
        ChildSpec(name, lambda name=name: _Fragile(log, name))  # type: ignore[misc]
        for name in "abc"
    )
    spec = SupervisorSpec(strategy=strategy, intensity=intensity, period=3600, children=children)
    started = start(spec)
    supervisor: Supervises = await started if isinstance(started, Awaitable) else started
    await supervisor.ready()
    return supervisor


async def _crash(ref: ActorRef) -> None:
    try:
        await ref.ask("crash")
    except ZeroDivisionError:
        return
    raise AssertionError("not kept: an asker gets the error of a crash")
