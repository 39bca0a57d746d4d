"""For tests: probes, injected faults, a scripted clock, and conformance checks for anyone's kind
of mailbox or supervisor.

`check_mailbox` and `check_supervisor` raise `AssertionError` with what was promised and not kept.
They suit anything that keeps docs/semantics.md: our own addresses, pools of one, proxies.
"""

from collections.abc import Callable, Iterable
from typing import Any

import anyio

from nexau.actors._conformance import Supervises, check_mailbox, check_supervisor
from nexau.actors._faults import BREAKING, KEEPING, Address, FaultyMailbox, InjectedCrash
from nexau.actors.actor import Actor

__all__ = [
    "BREAKING",
    "KEEPING",
    "Address",
    "FaultyMailbox",
    "InjectedCrash",
    "Probe",
    "ScriptedClock",
    "Supervises",
    "check_mailbox",
    "check_supervisor",
]


class Probe(Actor):
    """Keeps what it gets; answers an ask with the message, or what `reply` makes of it."""

    def __init__(self, reply: Callable[[Any], Any] | None = None) -> None:
        self.received: list[Any] = []
        self._reply = reply
        self._news = anyio.Event()

    async def receive(self, message: Any) -> Any:
        self.received.append(message)
        news, self._news = self._news, anyio.Event()
        news.set()
        return message if self._reply is None else self._reply(message)

    @property
    def last(self) -> Any:
        """The latest message. Raises IndexError if there was none."""
        return self.received[-1]

    async def quiet(self, seconds: float = 0.05) -> None:
        """Wait and see that nothing comes. Raises AssertionError if something does."""
        before = len(self.received)
        await anyio.sleep(seconds)
        came = self.received[before:]
        if came:
            raise AssertionError(f"not expected: {came}")

    async def wait(self, count: int, timeout: float = 5.0) -> list[Any]:
        """The messages, once there are `count`. Raises TimeoutError after `timeout` seconds."""
        with anyio.fail_after(timeout):
            while len(self.received) < count:
                await self._news.wait()
        return self.received


class ScriptedClock:
    """A clock that reads off the times it is given, or is moved by hand: for pure functions of
    `now`, and for the restart windows of a system (`open_system(clock=...)`)."""

    def __init__(self, times: Iterable[float] = ()) -> None:
        self._times = iter(times)
        self.now = 0.0

    def __call__(self) -> float:
        self.now = next(self._times, self.now)
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on; returns the new time."""
        self.now += seconds
        return self.now
