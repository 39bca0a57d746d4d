"""Latency recorded, and replayed in front of another server, in virtual time."""

import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from nexau.actors import open_system
from nexau.actors._backend import run
from nexau.group import Group
from nexau.latency.comparison import compare_latencies, compare_profiles
from nexau.latency.profiles import SCHEMA, Failures, Level, Profile, Taken, ToolProfile
from nexau.latency.recording import Plan, Sample, measure
from nexau.latency.replayed import Drawn, Lateness, Replay, clock, pause_until
from nexau.sessions import Link, ReplayTool, Session, Told
from nexau.transports.connection import Connection
from nexau.transports.protocol import Call, Result, Text, failure

TAKEN = Taken("", "", "", "", "", "", 0.0, "", 1, (), "", "")
CALLS = 2_000


class FakeConnection:
    """A server in this process: one lognormal second after the other, some calls failing."""

    def __init__(
        self, *, seconds: float = 0.0, lanes: int | None = None, fail: float = 0.0
    ) -> None:
        self.alive = True
        self.calls = 0
        self.seconds = seconds
        self.fail = fail
        self.lanes = anyio.CapacityLimiter(lanes) if lanes else nullcontext()
        self.chance = random.Random(7)

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        timeout: float | None = None,
        on_progress: object = None,
    ) -> Result:
        self.calls += 1
        async with self.lanes:
            if self.seconds:
                await anyio.sleep(self.chance.lognormvariate(0, 0.6) * self.seconds)
        if self.chance.random() < self.fail:
            return failure(call_id, "unavailable", "worn out")
        return Result(call_id, (Text(call_id),))


def profile(*tools: ToolProfile) -> Profile:
    return Profile(SCHEMA, TAKEN, tools)


def flat(ms: float, name: str = "look") -> ToolProfile:
    return ToolProfile(name, 1, (Level(1, 1, 1.0, (ms,)),))


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    run(main, backend="trio", seed=1, clock=MockClock(autojump_threshold=0))


def linked(connection: FakeConnection) -> Link:
    link = Link("fake")
    link.up(cast("Connection", connection))
    return link


class Replayed:
    """A session with replayed latency, as recording sees one."""

    def __init__(self, session: Session) -> None:
        self.session = session

    async def call(
        self, name: str, arguments: Mapping[str, Any], *, call_id: str, timeout: float | None = None
    ) -> Result:
        return await self.session.ask(Call(call_id, name, dict(arguments)), seed=11)


@pytest.mark.parametrize("lanes", [None, 1, 2])
def test_replay_is_near_the_record(lanes: int | None) -> None:
    """D at most 0.05 on 2,000 calls, at each number of calls in flight."""

    async def main() -> None:
        samples = {"look": [Sample("look")]}
        plan = Plan(calls=CALLS, in_flight=(1, 4, 16))
        real = FakeConnection(seconds=0.3, lanes=lanes, fail=0.1)
        recorded = profile(*await measure(real, samples, plan))
        (tool,) = recorded.tools
        assert tool.serializes == pytest.approx(0.0 if lanes is None else 1.0, abs=0.1)
        fast, replay, group = FakeConnection(), Replay(recorded), Group()
        link = linked(fast)
        again = recorded
        async with open_system("test") as system:
            system.spawn(lambda: group, name="group")
            pool = group.add_pool("calls", lambda: ReplayTool(link, 600.0, replay))
            again = profile(
                *await measure(Replayed(Session(link, pool, replay=replay)), samples, plan)
            )
            assert replay.in_flight == 0
        assert again is not recorded
        rows = compare_profiles(recorded, again)
        assert [row.in_flight for row in rows] == [1, 4, 16]
        for row in rows:
            assert row.d <= 0.05, row
            assert row.wasserstein <= 0.05, row
        for before, after in zip(tool.levels, again.tools[0].levels, strict=True):
            assert after.per_second == pytest.approx(before.per_second, rel=0.1)
            assert after.failures[0].rate == pytest.approx(before.failures[0].rate, abs=0.025)
        assert fast.calls < 3 * CALLS, "a call that fails does not reach the server"

    in_virtual_time(main)


def test_another_number_in_flight_is_told_apart() -> None:
    """The figure of the test above can be missed."""

    async def main() -> None:
        real = FakeConnection(seconds=0.3, lanes=1)
        plan = Plan(calls=500, in_flight=(1, 4))
        recorded = profile(*await measure(real, {"look": [Sample("look")]}, plan))
        one, four = recorded.tools[0].levels
        (row,) = compare_latencies(recorded, {"look": list(four.ms)}, 1)
        assert row.d > 0.5
        assert row.recorded_ms == pytest.approx(one.ms[100], rel=0.01)

    in_virtual_time(main)


def tool(replay: Replay, connection: FakeConnection, timeout: float = 60.0) -> ReplayTool:
    return ReplayTool(linked(connection), timeout, replay)


def test_what_the_server_takes_is_part_of_the_latency() -> None:
    async def main() -> None:
        began = anyio.current_time()
        slow = FakeConnection(seconds=0.1)
        await tool(Replay(profile(flat(5_000))), slow).receive(Call("a", "look", {}))
        assert anyio.current_time() - began == pytest.approx(5.0)
        began = anyio.current_time()
        result = await tool(Replay(profile(flat(0.001))), slow).receive(Call("b", "look", {}))
        assert anyio.current_time() - began > 0.01, "never less than the server's own"
        assert result.content == (Text("b"),)

    in_virtual_time(main)


def test_a_deadline_cuts_it_short() -> None:
    async def main() -> None:
        began = anyio.current_time()
        slow = tool(Replay(profile(flat(5_000))), FakeConnection(), timeout=2.0)
        result = await slow.receive(Call("a", "look", {}))
        assert (result.error_class, anyio.current_time() - began) == ("timeout", 2.0)
        result = await slow.receive(Call("a", "look", {}, deadline=anyio.current_time() + 1))
        assert (result.error_class, anyio.current_time() - began) == ("timeout", 3.0)

    in_virtual_time(main)


def test_a_cancelled_call_is_no_longer_in_flight() -> None:
    async def main() -> None:
        replay = Replay(profile(flat(5_000)))
        with anyio.move_on_after(1):
            await tool(replay, FakeConnection()).receive(Call("a", "look", {}))
        assert anyio.current_time() < 2
        assert replay.in_flight == 0

    in_virtual_time(main)


ERRORS = (
    Failures("unavailable", 0.25, (7.0,), "gone"),
    Failures("invalid_arguments", 0.5, (1.0,)),
)
WIDE = ToolProfile(
    "look",
    1,
    (Level(1, 1, 1.0, (1.0, 100.0), ERRORS), Level(16, 1, 1.0, (10.0, 1000.0))),
    serializes=1.0,
)


def draws(replay: Replay, seed: int, count: int = 400) -> list[Drawn]:
    return [replay.draw(seed, "root", f"c{index}", "look") for index in range(count)]


def test_the_seed_decides() -> None:
    assert draws(Replay(profile(WIDE)), 1) == draws(Replay(profile(WIDE)), 1)
    assert draws(Replay(profile(WIDE)), 1) != draws(Replay(profile(WIDE)), 2)
    one = Replay(profile(WIDE))
    assert one.draw(1, "root", "a", "look") != one.draw(1, "root/b#1", "a", "look")
    assert one.draw(1, "root", "a", "look") != one.draw(1, "root", "b", "look")


def test_errors_come_as_often_as_recorded_unless_the_arguments_decide_them() -> None:
    seen = Counter(each.error_class for each in draws(Replay(profile(WIDE)), 3, 4_000))
    assert seen.keys() == {None, "unavailable"}
    assert seen["unavailable"] == pytest.approx(1_000, rel=0.1)
    failed = next(each for each in draws(Replay(profile(WIDE)), 3) if each.error_class)
    assert failed == Drawn(0.007, "unavailable", "gone")
    assert not any(each.error_class for each in draws(Replay(profile(WIDE), errors=False), 3))


def test_latency_grows_with_the_calls_in_flight() -> None:
    def median(in_flight: int, **options: Any) -> float:
        replay = Replay(profile(WIDE), errors=False, **options)
        replay.in_flight = in_flight
        seconds = sorted(each.seconds for each in draws(replay, 5))
        return seconds[len(seconds) // 2]

    alone = median(1)
    assert median(16) == pytest.approx(10 * alone)
    assert median(4) == pytest.approx(10**0.5 * alone), "between: by the logarithm"
    assert median(32) == pytest.approx(20 * alone), "above: in proportion, as it serializes"
    assert median(32, concurrency=False) == alone
    assert median(1, scale=3.0) == pytest.approx(3 * alone)


def test_a_tool_unknown_to_the_profile_takes_after_one_of_it() -> None:
    both = profile(flat(10, "slow"), flat(1, "fast"))
    assert Replay(both, tool="slow").draw(1, "", "a", "other").seconds == 0.01
    assert Replay(both, tool="slow").draw(1, "", "a", "fast").seconds == 0.001
    found = {Replay(both).draw(1, "", str(i), "other").seconds for i in range(20)}
    assert len(found) == 1, "always the same one"
    assert {Replay(both).draw(1, "", "a", f"tool{i}").seconds for i in range(20)} == {0.01, 0.001}
    with pytest.raises(KeyError):
        Replay(both, tool="none")


def test_a_tool_that_never_succeeded() -> None:
    broken = ToolProfile("look", 9, (Level(1, 9, 1.0, (), (Failures("tool_error", 1.0, ()),)),))
    assert Replay(profile(broken)).draw(1, "", "a", "look") == Drawn(0.0, "tool_error")
    assert Replay(profile(broken), errors=False).draw(1, "", "a", "look") == Drawn(0.0)


@pytest.mark.anyio
async def test_a_pause_ends_when_it_should_on_a_real_clock() -> None:
    now = clock()
    for seconds in (0.0, 0.0007, 0.004, 0.06):
        end = now() + seconds
        await pause_until(end, now)
        assert now() >= end - 0.002


@pytest.mark.anyio
async def test_a_call_with_its_seed_reaches_the_server() -> None:
    fast = FakeConnection()
    found = await tool(Replay(profile(flat(0.1))), fast).receive(Told(Call("a", "look", {}), 5))
    assert (found.content, fast.calls) == ((Text("a"),), 1)


def test_lateness_settles_at_the_median() -> None:
    chance, lateness = random.Random(1), Lateness()
    for _ in range(2000):
        lateness.observed(chance.lognormvariate(math.log(3e-4), 1.0) - lateness.seconds)
    assert lateness.seconds == pytest.approx(3e-4, rel=0.25)
    for _ in range(2000):
        lateness.observed(-1.0)
    assert lateness.seconds == 0.0
    for _ in range(2000):
        lateness.observed(1.0)
    assert lateness.seconds == Lateness.MOST


@pytest.mark.anyio
async def test_the_way_back_is_taken_off() -> None:
    """An answer is due at its caller, not at the actor that waits."""
    replay = Replay(profile(flat(3.0)))
    async with open_system("test") as system:
        group = Group()
        system.spawn(lambda: group, name="group")
        link = linked(FakeConnection())
        session = Session(
            link, group.add_pool("calls", lambda: ReplayTool(link, 9.0, replay)), replay=replay
        )
        replay.lateness.seconds = 0.002
        began = replay.clock()
        await session.ask(Call("a", "look", {}), 1)
        assert replay.clock() - began >= 0.001 - 1e-6
    assert replay.lateness.seconds != 0.002, "and learned from"
