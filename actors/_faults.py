"""An address that injects faults by a seed, before any other address."""

from collections import Counter
from random import Random
from typing import Any, Literal, Protocol

import anyio
import anyio.lowlevel

from nexau.actors.errors import AskTimeout, MailboxFull

Fault = Literal["full", "delay", "crash", "stop", "deaf", "lose", "duplicate", "reorder"]
KEEPING: tuple[Fault, ...] = ("full", "delay", "crash", "stop", "deaf")
BREAKING: tuple[Fault, ...] = ("lose", "duplicate", "reorder")


class Address(Protocol):
    """What can be told and asked."""

    def tell_nowait(self, message: Any) -> None: ...
    async def tell(self, message: Any) -> None: ...
    async def ask(self, message: Any, timeout: float | None = None) -> Any: ...
    async def stop(self) -> None: ...


class InjectedCrash(Exception):
    """What an asker gets from the fault `crash`."""


class FaultyMailbox:
    """An address before another that injects faults. Each rate is a share of the messages, 0 to 1.

    Faults that a sender has to be ready for, and that keep docs/semantics.md:

    - `full`: `tell_nowait` raises `MailboxFull`; a `tell` waits some turns of the loop for room.
    - `delay`: the message takes a few turns of the loop, or `latency` seconds, longer.
    - `crash`: an ask raises `InjectedCrash`, as if its handler had; the message is not delivered.
    - `stop`: the target is stopped first, so a tell is a dead letter, an ask raises `ActorStopped`.
    - `deaf`: an ask gets no answer before its timeout, and waits for ever without one.

    Faults that no mailbox may have, for tests of what checks mailboxes: `lose` (a told message
    vanishes), `duplicate` (it arrives twice), `reorder` (it arrives after the next one).
    """

    def __init__(self, target: Address, seed: int, *, latency: float = 0.0, **rates: float) -> None:
        wrong = [name for name in rates if name not in KEEPING + BREAKING]
        if wrong or not all(0 <= rate <= 1 for rate in rates.values()):
            raise ValueError(f"rates are 0 to 1, of {KEEPING + BREAKING}: {rates}")
        self._target = target
        self._random = Random(seed)
        self._latency = latency
        self._rates = rates
        self._entrance = anyio.Lock()
        self._held: list[Any] = []
        """Messages that have to arrive after the next one."""
        self.injected: Counter[str] = Counter()
        """How often each fault struck."""

    def _strikes(self, fault: Fault) -> bool:
        # Drawn whether or not the rate is 0: one fault more does not move the others.
        strikes = self._random.random() < self._rates.get(fault, 0.0)
        self.injected[fault] += strikes
        return strikes

    async def _linger(self) -> None:
        async with self._entrance:  # late, but in order
            turns = self._random.randint(1, 4)
            if self._strikes("delay"):
                if self._latency:
                    await anyio.sleep(self._latency * self._random.random())
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()

    def tell_nowait(self, message: Any) -> None:
        if self._strikes("full"):
            raise MailboxFull("injected")
        for each in self._altered(message):
            self._target.tell_nowait(each)

    async def tell(self, message: Any) -> None:
        await self._linger()
        if self._strikes("full"):
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
        if self._strikes("stop"):
            await self._target.stop()
        for each in self._altered(message):
            await self._target.tell(each)

    def _altered(self, message: Any) -> list[Any]:
        """What arrives now in the place of a told message."""
        if self._strikes("lose"):
            return []
        if self._strikes("reorder"):
            self._held.append(message)
            return []
        arrives = [message, *self._held]
        self._held.clear()
        return [*arrives, message] if self._strikes("duplicate") else arrives

    async def ask(self, message: Any, timeout: float | None = None) -> Any:
        await self._linger()
        if self._strikes("stop"):
            await self._target.stop()
        if self._strikes("crash"):
            raise InjectedCrash(message)
        if self._strikes("deaf"):
            with anyio.move_on_after(timeout if timeout is not None else float("inf")):
                await anyio.sleep_forever()
            raise AskTimeout("injected", timeout or 0.0)
        for each in self._held:
            await self._target.tell(each)
        self._held.clear()
        return await self._target.ask(message, timeout=timeout)

    async def stop(self) -> None:
        await self._target.stop()
