"""Calls in flight that find their number, in virtual time."""

import anyio
import pytest

from nexau.actors import open_system
from nexau.group import Group
from nexau.sessions import McpTool, Session
from nexau.transports.adaptive import Adaptive, Gate
from nexau.transports.protocol import Call
from tests.runtime.test_latency import FakeConnection, in_virtual_time, linked

CALLERS = 128


@pytest.mark.parametrize(("lanes", "least", "most"), [(1, 1, 2), (4, 4, 8), (None, 64, 4096)])
def test_a_server_is_given_as_many_calls_as_it_takes_side_by_side(
    lanes: int | None, least: int, most: int
) -> None:
    gate, limits = Gate(Adaptive()), []
    waits: list[float] = []

    async def main() -> None:
        link, group = linked(FakeConnection(seconds=0.1, lanes=lanes)), Group()
        async with open_system("test") as system:
            system.spawn(lambda: group, name="group")
            session = Session(link, group.add_pool("calls", lambda: McpTool(link, 600.0)), gate)

            async def call() -> None:
                for number in range(30):
                    result = await session.ask(Call(str(number), "look", {}), 1)
                    waits.append(result.timing.queue)
                    limits.append(gate.adaptive.limit)

            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(call)

    in_virtual_time(main)
    later = sorted(limits[len(limits) // 2 :])
    assert least <= later[len(later) // 2] <= most
    assert (gate.statistics().in_flight, gate.statistics().waiting) == (0, 0)
    assert max(waits) > 0, "the wait for a turn is on record"
