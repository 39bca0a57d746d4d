"""What every contender is given: the same tasks, the same model turns, the same tool.

Standard library and anyio only.
"""

import importlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import anyio

from bench.cases import Case

SYSTEM = (
    "You answer the customers of a shop. Look things up before you answer; never guess. "
    "Today is 2026-03-02. Money is in cents."
)
TOOL = "get_customer"
MARK = b"C-10"
"""In the arguments of each call, and in each result."""
LAST = "C-1004"
"""The customer that the last call of a rollout asks for."""
CHILDREN = ("orders", "billing")


@dataclass(frozen=True)
class Say:
    """One model turn: calls as (name, arguments), or an answer."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, str]], ...] = ()


def script(case: Case, agent: str) -> tuple[Say, ...]:
    """The turns of `agent`: the root has the name ``, sub-agents have theirs."""
    answer = Say("The customer is a good one; nothing is owed on either side.")
    if not case.delegates:
        calls = [Say(calls=((TOOL, {"customer_id": f"C-100{i + 1}"}),)) for i in range(case.calls)]
        return (*calls, answer)
    if case.depth or case.width:
        return _tree(case, agent, answer)
    if not agent:
        return (*[Say(calls=((name, {"task": f"Look at {name}."}),)) for name in CHILDREN], answer)
    numbers = (1, 2) if agent == CHILDREN[0] else (3, 4)
    return (*[Say(calls=((TOOL, {"customer_id": f"C-100{i}"}),)) for i in numbers], answer)


def children_of(case: Case, agent: str) -> tuple[str, ...]:
    """The sub-agents of `agent`; the root has the name ``."""
    if not case.delegates:
        return ()
    if case.depth:
        level = int(agent.removeprefix("level-") or 0)
        return (f"level-{level + 1}",) if level < case.depth else ()
    if case.width:
        return () if agent else tuple(f"helper-{i + 1}" for i in range(case.width))
    return () if agent else CHILDREN


def _tree(case: Case, agent: str, answer: Say) -> tuple[Say, ...]:
    below = children_of(case, agent)
    if below:
        return (Say(calls=tuple((name, {"task": f"Look at {name}."}) for name in below)), answer)
    return (Say(calls=((TOOL, {"customer_id": "C-1001"}),)), answer)


def record(customer_id: str) -> str:
    """What the tool answers."""
    return json.dumps({"id": customer_id, "name": "Kemal Costa", "tier": "plus", "orders": 7})


class Work:
    """The parts of one measurement that contenders share: the tool, the model's time, the tasks."""

    def __init__(self, case: Case, loop: str, quantiles: Sequence[float] = ()) -> None:
        self.case = case
        self.slept = 0.0
        """Seconds that calls begun since `window` were told to take."""
        self.window: float | None = None
        self._quantiles = quantiles
        """Of the latency of turns and calls, in seconds, at equal steps; empty: the case's own."""
        self._chance = random.Random(7)
        self.calls = 0
        """Calls of the in-process tool."""
        self.turns = 0
        self.first: float | None = None
        """When the first turn was asked for, where the model is in-process."""
        self.begun = 0
        self.gate: anyio.Event | None = None
        """While set, the last call of each rollout waits at it."""
        self._waiting = 0
        self._wanted = 0
        self._all = anyio.Event()
        library = importlib.import_module("trio" if loop == "trio" else "asyncio")
        self._sleep: Callable[[float], Awaitable[None]] = library.sleep
        self.waited: float | None = None
        """Share of the time of all slots, while all were in use, that calls were told to take."""
        self._answers = {f"C-100{i}": record(f"C-100{i}") for i in range(1, 5)}

    def tasks(self, count: int, seconds: float = 0.0) -> Iterator[str]:
        """`count` tasks, then more until `seconds` have passed."""
        end = time.perf_counter() + seconds
        given = 0
        while given < count or time.perf_counter() < end:
            given += 1
            if given == count + 1:  # all slots have been full
                self.window, self.slept = time.perf_counter(), 0.0
            self.begun += 1
            yield "What do we know of this customer, and of the three after?"
        if self.window is not None and seconds:
            self.window = time.perf_counter() - self.window
            self.waited = self.slept / (self.window * count)

    async def all_waiting(self, count: int) -> None:
        """Until `count` rollouts wait at the gate, which must have been set before they began."""
        self._wanted = count
        if self._waiting < count:
            await self._all.wait()

    async def think(self) -> None:
        """The time of one model turn."""
        self.turns += 1
        if self.first is None:
            self.first = time.perf_counter()
        seconds = self._drawn() if self._quantiles else self.case.model_seconds
        if seconds:
            self.slept += seconds
            await self._sleep(seconds)

    def _drawn(self) -> float:
        """Inverse transform sampling, linear between the quantiles."""
        place = self._chance.random() * (len(self._quantiles) - 1)
        low = int(place)
        step = self._quantiles[low + 1] - self._quantiles[low]
        return self._quantiles[low] + (place - low) * step

    async def look_up(self, customer_id: str) -> str:
        """The tool, where it is in-process."""
        self.calls += 1
        seconds = self._drawn() if self._quantiles else self.case.tool_seconds
        if seconds:
            self.slept += seconds
            await self._sleep(seconds)
        if self.gate is not None and customer_id == LAST:
            self._waiting += 1
            if self._waiting == self._wanted:
                self._all.set()
            await self.gate.wait()
        return self._answers[customer_id]
