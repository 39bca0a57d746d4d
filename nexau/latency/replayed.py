"""Recorded latency in front of any server: what `latency:` of an agent file does.

A call takes what a recorded one took: drawn from the profile by the rollout's seed, the agent's
path, the call's id and its name, so that a rollout replays. With calls in flight between two
recorded levels the two distributions are mixed (their logarithms, by the logarithm of the number);
above the highest level latency grows as it did between the two highest. Errors are those of the
level below.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import anyio
import anyio.lowlevel
from msgspec import Struct

from nexau.actors._backend import backend_name
from nexau.definitions.values import DefinitionError, Latency, Server, StdioServer
from nexau.files.nearest import hint
from nexau.latency.profiles import Failures, Level, Profile, ToolProfile, read_profile, value_at
from nexau.transports.protocol import ErrorClass

_SCALE = 1.0 / (1 << 64)
_DECIDED = frozenset({"invalid_arguments", "unknown_tool", "cancelled"})
"""Errors that the arguments decide, or the caller: not drawn."""

_SPUN = 0.001
"""Seconds before the end of a pause from which on the loop is asked in turns instead of a timer:
an event loop's timers are good to a millisecond or two."""
_SPUN_BELOW = 0.05
"""Longer pauses are left to the timer: there a millisecond does not show."""


class Drawn(Struct, frozen=True, gc=False):
    """What becomes of a call."""

    seconds: float
    error_class: ErrorClass | None = None
    text: str = ""


class Lateness:
    """By how much answers come late in the median: the way back to the caller, and timers. Known
    after a few calls, it is taken off the next pauses."""

    STEP = 1e-5
    MOST = 0.005

    def __init__(self) -> None:
        self.seconds = 0.0

    def observed(self, late: float) -> None:
        """An answer came `late` after it should, all taken off already; negative for too early."""
        # As often up as down at the median: stochastic approximation (Robbins and Monro, 1951).
        step = self.STEP if late > 0 else -self.STEP
        self.seconds = min(max(self.seconds + step, 0.0), self.MOST)


class Ticket:
    """When a call was sent, and when its answer is due at its caller, where it had to wait."""

    __slots__ = ("due", "sent")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.due: float | None = None


class Replay:
    """One server's profile, and how many calls are in flight at that server."""

    def __init__(
        self,
        profile: Profile,
        *,
        tool: str | None = None,
        errors: bool = True,
        concurrency: bool = True,
        scale: float = 1.0,
    ) -> None:
        """`tool` names the one that tools unknown to the profile take after; without it, each
        takes after one of the profile's, always the same. Raises KeyError for a `tool` that the
        profile lacks.
        """
        self.in_flight = 0
        self.lateness = Lateness()
        self._errors = errors
        self._concurrency = concurrency
        self._factor = scale / 1000.0
        self._known = {each.name: _Tool(each) for each in profile.tools}
        self._all = list(self._known.values())
        self._default = None if tool is None else self._known[tool]

    @cached_property
    def clock(self) -> Callable[[], float]:
        """That of the event loop it is first used in."""
        return clock()

    def draw(self, seed: int, path: str, call_id: str, name: str) -> Drawn:
        """Decided by the arguments and by `in_flight`, to which this call counts already."""
        digest = blake2b(f"{seed}/{path}/{call_id}/{name}".encode(), digest_size=16).digest()
        chance = int.from_bytes(digest[:8], "little") * _SCALE
        share = int.from_bytes(digest[8:], "little") * _SCALE
        tool = self._known.get(name) or self._take_after(name)
        in_flight = self.in_flight if self._concurrency else 1
        if self._errors:
            for failure in tool.failures(in_flight):
                if chance < failure.rate:
                    seconds = value_at(failure.ms, share) * self._factor if failure.ms else 0.0
                    return Drawn(seconds, failure.error_class, failure.text)
                chance -= failure.rate
        return Drawn(tool.milliseconds(share, in_flight) * self._factor)

    def _take_after(self, name: str) -> "_Tool":
        tool = self._default or self._all[crc32(name.encode()) % len(self._all)]
        self._known[name] = tool
        return tool


class _Tool:
    def __init__(self, tool: ToolProfile) -> None:
        self._failures = [
            tuple(each for each in level.failures if each.error_class not in _DECIDED)
            for level in tool.levels
        ]
        self._measured = [level.in_flight for level in tool.levels]
        self._levels: list[Level] = [level for level in tool.levels if level.ms]
        self._steps = [level.in_flight for level in self._levels]
        self._growth = tool.serializes

    def failures(self, in_flight: int) -> tuple[Failures, ...]:
        """Of the highest level that is not above."""
        return self._failures[max(0, bisect_right(self._measured, in_flight) - 1)]

    def milliseconds(self, share: float, in_flight: int) -> float:
        """0 for a tool of which no call ever succeeded."""
        if not self._levels:
            return 0.0
        above = bisect_right(self._steps, in_flight)
        if above == 0:
            return value_at(self._levels[0].ms, share)
        below = self._levels[above - 1]
        low = value_at(below.ms, share)
        if in_flight == below.in_flight:
            return low
        ratio = in_flight / below.in_flight
        if above == len(self._levels):
            return low * math.pow(ratio, self._growth)
        top = self._levels[above]
        weight = math.log(ratio) / math.log(top.in_flight / below.in_flight)
        return low * math.pow(value_at(top.ms, share) / low, weight)


def replays_of(server: Server, base: Path | None) -> Callable[[], Replay | None]:
    """What each session of a server is to have.

    Sessions over stdio have one each, as each is a process of its own; over HTTP all share one, as
    their calls meet in one server. A relative path starts at `base`. Raises `DefinitionError`.
    """
    if server.latency is None:
        return lambda: None
    given = Latency(server.latency) if isinstance(server.latency, str) else server.latency
    profile = read_profile(base / given.profile if base is not None else Path(given.profile))
    if given.tool is not None and profile.tool(given.tool) is None:
        near = hint(given.tool, [tool.name for tool in profile.tools], "it has")
        raise DefinitionError(f"{given.profile} has no tool {given.tool!r}{near}")

    def make() -> Replay:
        return Replay(
            profile,
            tool=given.tool,
            errors=given.errors,
            concurrency=given.concurrency,
            scale=given.scale,
        )

    if isinstance(server, StdioServer):
        return make
    shared = make()
    return lambda: shared


def clock() -> Callable[[], float]:
    """Seconds on a clock that is exact within a turn of the loop, and virtual where the loop's is.

    uvloop's own stands still within a turn, and counts milliseconds.
    """
    return time.perf_counter if backend_name() == "asyncio" else anyio.current_time


async def pause_until(end: float, now: Callable[[], float]) -> None:
    """Sleep until `now()`, a `clock`, is at `end`; to a tenth of a millisecond where that shows."""
    left = end - now()
    if left <= 0:
        return
    if now is anyio.current_time or left > _SPUN_BELOW:
        await anyio.sleep(left)
        return
    if left > _SPUN:
        await anyio.sleep(left - _SPUN)
    while now() < end:
        await anyio.lowlevel.checkpoint()
