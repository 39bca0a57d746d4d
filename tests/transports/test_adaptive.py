"""A limit on calls in flight that finds itself: a queue in virtual time, without a clock."""

import heapq
import math
import random
from collections.abc import Callable

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from nexau.transports.adaptive import Adaptive, Gate

Service = Callable[[random.Random], float]


class Queue:
    """A server with so many workers, and callers who never let it rest."""

    def __init__(self, adaptive: Adaptive, workers: int, service: Service, callers: int) -> None:
        self.adaptive = adaptive
        self.free = workers
        self.now = 0.0
        self.chance = random.Random(1)
        self.service = service
        self.callers = callers
        self.in_flight = self.backlog = 0
        self.ends: list[float] = []
        self.limits: list[int] = []

    def serve(self, calls: int) -> float:
        """Returns the calls a second of the second half."""
        half = 0.0
        for number in range(calls):
            while self.callers > self.in_flight < self.adaptive.limit:
                self.in_flight += 1
                self.backlog += 1
            while self.free > 0 and self.backlog:
                self.free -= 1
                self.backlog -= 1
                heapq.heappush(self.ends, self.now + self.service(self.chance))
            self.now = heapq.heappop(self.ends)
            self.free += 1
            saturated = self.callers > self.in_flight
            self.adaptive.ended(self.now, self.in_flight, saturated=saturated)
            self.in_flight -= 1
            self.limits.append(self.adaptive.limit)
            if number == calls // 2:
                half = self.now
        return (calls - calls // 2) / (self.now - half)

    def usual(self) -> int:
        """The median limit of the second half."""
        later = self.limits[len(self.limits) // 2 :]
        return sorted(later)[len(later) // 2]


def constant(_: random.Random) -> float:
    return 0.01


def exponential(chance: random.Random) -> float:
    return chance.expovariate(100)


def lognormal(chance: random.Random) -> float:
    return 0.01 * math.exp(chance.gauss(0, 1))


@pytest.mark.parametrize("service", [constant, exponential, lognormal])
@pytest.mark.parametrize("workers", [1, 2, 4, 16, 64])
def test_finds_how_many_a_server_takes_side_by_side(workers: int, service: Service) -> None:
    queue = Queue(Adaptive(), workers, service, callers=1024)
    rate = queue.serve(8000)
    assert workers <= queue.usual() <= 2 * workers
    assert rate >= 0.75 * workers / 0.01 / (math.exp(0.5) if service is lognormal else 1)


def test_a_server_without_a_bound_gets_all() -> None:
    queue = Queue(Adaptive(), 1 << 20, exponential, callers=1024)
    queue.serve(20_000)
    assert queue.usual() >= 512


def test_follows_a_server_that_changes() -> None:
    queue = Queue(Adaptive(), 64, exponential, callers=1024)
    queue.serve(8000)
    assert queue.usual() >= 64
    queue.free -= 63
    queue.limits.clear()
    queue.serve(4000)
    assert queue.usual() <= 2


def test_too_few_calls_tell_nothing() -> None:
    queue = Queue(Adaptive(), 1, constant, callers=4)
    queue.serve(2000)
    assert set(queue.limits) == {16}


def test_failures_of_overload_halve_it() -> None:
    adaptive = Adaptive(32)
    for number in range(1, 400):
        adaptive.ended(number * 0.01, adaptive.limit, saturated=True, failed=number % 4 == 0)
    assert adaptive.limit <= 4


@given(
    st.integers(1, 8), st.integers(8, 64), st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), max_size=300),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_stays_within_its_bounds(
    least: int, most: int, start: int, calls: list[tuple[float, bool, bool]]
) -> None:
    adaptive = Adaptive(start, least=least, most=most)
    now = 0.0
    for seconds, saturated, failed in calls * 5:
        now += seconds
        adaptive.ended(now, adaptive.limit, saturated=saturated, failed=failed)
        assert least <= adaptive.limit <= most


@pytest.mark.anyio
async def test_a_gate_lets_callers_in_by_turns() -> None:
    gate = Gate(Adaptive(2, least=2, most=2))
    entered: list[int] = []

    async def call(number: int) -> None:
        await gate.enter()
        try:
            entered.append(number)
            assert gate.statistics().in_flight <= 2
            await anyio.sleep(0)
        finally:
            gate.leave(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(call, number)
    assert sorted(entered) == list(range(20))
    statistics = gate.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)


@pytest.mark.anyio
async def test_a_cancelled_caller_gives_its_place_away() -> None:
    gate = Gate(Adaptive(1, least=1, most=1))
    await gate.enter()

    async def call() -> None:
        await gate.enter()
        try:
            await anyio.sleep_forever()
        finally:
            gate.leave(anyio.current_time(), counts=False)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        # The first of them has its place, and is cancelled before it can take it.
        gate.leave(anyio.current_time())
        tasks.cancel_scope.cancel()
    statistics = gate.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
