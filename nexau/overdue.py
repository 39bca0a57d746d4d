"""Deadlines of tool calls, watched from outside.

A timer for each call (`anyio.fail_after`) took a third of the CPU of an in-process rollout: 4,900 a
CPU second with it, 7,300 without (bench/rollouts.py, case in-process), and next to none of them
ever fires. So one actor looks at all calls under way.
"""

import anyio

from nexau.actors import Actor

TICK = 0.05
"""Seconds between two looks. A call ends up to twice as much late, and never early."""


class Overdue(Actor):
    """Kills tool actors that are past their deadline."""

    def __init__(self) -> None:
        self._due: dict[Actor, float] = {}
        self._now = 0.0
        """As of the last look: asking the loop for the time costs 1 us a call."""

    def begin(self, tool: Actor, seconds: float) -> None:
        """`tool` has that long to call `end`."""
        self._due[tool] = self._now + TICK + seconds

    def end(self, tool: Actor) -> None:
        self._due.pop(tool, None)

    async def started(self) -> None:
        self._now = anyio.current_time()
        self.context.start_soon(self._watch, name="watch")

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(TICK)
            now = self._now = anyio.current_time()
            for tool in [tool for tool, due in self._due.items() if due < now]:
                del self._due[tool]
                # Each in a task of its own: one that is slow to end holds up no other.
                self.context.start_soon(tool.context.ref.kill)
