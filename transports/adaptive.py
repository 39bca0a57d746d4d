"""How many calls a peer should have at once, found out by measuring.

Many servers answer one call at a time, whatever they are sent: more in flight only adds latency,
and timeouts. Others answer a thousand side by side. `Adaptive` tells them apart by what more calls
in flight bring: it measures how many are answered a second at its limit, tries half and twice as
many, and keeps the smallest number from which doubling brings little. Failures of an overloaded
peer halve the limit, as in AIMD (RFC 5681). Pure arithmetic: `now` is an argument.
"""

from collections import deque

import anyio
from msgspec import Struct

START = 16
LEAST_CALLS = 16
"""Calls that make a measurement, or twice the limit where that is more..."""
MOST_CALLS = 512
"""... but no more than this."""
LEAST_SECONDS = 0.05
WORTH = 1.25
"""How many times the calls a second must grow for twice as many in flight to be kept."""
FAILING = 0.1
"""Share of calls that fail from which the limit is halved."""
LONGEST_REST = 64
"""Measurements between two trials, at most: 2 at first, doubled with each trial in vain."""


class Adaptive:
    """The limit for one peer. Told of every call that ends."""

    def __init__(self, start: int = START, *, least: int = 1, most: int = 4096) -> None:
        self.limit = min(max(start, least), most)
        self.rate = 0.0
        """Calls a second at the limit that was kept last; 0 before any measurement."""
        self._least = least
        self._most = most
        self._kept = self.limit
        self._rest = 0
        self._next_rest = 2
        self._downwards = True
        self._tried_in_vain = 0
        self._since = 0.0
        self._skip = 1
        self._calls = self._failed = self._hungry = 0
        self._measured_at = self.limit

    def ended(self, now: float, in_flight: int, *, saturated: bool, failed: bool = False) -> None:
        """A call has ended. `in_flight` counts it; `saturated` says whether another one waited.

        `failed` is for calls that an overloaded peer fails: timeouts, refusals, broken connections.
        """
        if self._skip:
            # Sent under another limit: what it took says nothing of this one.
            self._skip -= 1
            self._since = now
            return
        self._calls += 1
        self._failed += failed
        self._hungry += not saturated
        enough = min(max(LEAST_CALLS, 2 * self.limit), MOST_CALLS)
        if self._calls >= enough and now - self._since >= LEAST_SECONDS:
            self._measured(self._calls / (now - self._since))
            self._begin(now, in_flight if self.limit != self._measured_at else 0)

    def _begin(self, now: float, skip: int) -> None:
        self._since = now
        self._skip = skip
        self._calls = self._failed = self._hungry = 0
        self._measured_at = self.limit

    def _measured(self, rate: float) -> None:
        if self._failed > FAILING * self._calls:
            self._keep(max(self._least, min(self.limit, self._kept) // 2), 0.0)
            self._rest = self._next_rest
        elif self._hungry > self._calls // 4:
            # Too few were asked for to tell anything.
            self.limit = self._kept
        elif self.limit == self._kept:
            self.rate = rate
            self._try()
        else:
            self._judge(rate)

    def _try(self) -> None:
        if self._rest:
            self._rest -= 1
            return
        wanted = self._kept // 2 if self._downwards else self._kept * 2
        wanted = min(max(wanted, self._least), self._most)
        if wanted == self._kept:
            self._in_vain()
        self.limit = wanted

    def _judge(self, rate: float) -> None:
        """A trial is over: `rate` is what it brought."""
        low, high = sorted(((self._kept, self.rate), (self.limit, rate)))
        better = high if high[1] >= WORTH * low[1] else low
        if better[0] == self.limit:
            self._keep(self.limit, rate)
            self._tried_in_vain = 0
            self._next_rest = 2
        else:
            self.limit = self._kept
            self._in_vain()

    def _in_vain(self) -> None:
        """There is nothing to gain this way: on to the other, and when neither is better, rest."""
        self._downwards = not self._downwards
        self._tried_in_vain += 1
        if self._tried_in_vain == 2:
            self._tried_in_vain = 0
            self._rest = self._next_rest
            self._next_rest = min(2 * self._next_rest, LONGEST_REST)

    def _keep(self, limit: int, rate: float) -> None:
        self.limit = self._kept = limit
        self.rate = rate


class GateStatistics(Struct, frozen=True):
    limit: int
    in_flight: int
    waiting: int
    rate: float
    """Calls a second when it was measured last; 0 where it was not."""


class Gate:
    """Lets no more callers in at once than `adaptive` finds useful; the rest wait in order.

    `enter` and `leave` belong together, also when what is between them fails.
    """

    def __init__(self, adaptive: Adaptive) -> None:
        self.adaptive = adaptive
        self._in_flight = 0
        self._waiting: deque[anyio.Event] = deque()

    async def enter(self) -> None:
        """Waits for a place."""
        if self._in_flight < self.adaptive.limit and not self._waiting:
            self._in_flight += 1
            return
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._in_flight -= 1
                self._admit()
            else:
                self._waiting.remove(turn)
            raise

    def leave(self, now: float, *, failed: bool = False, counts: bool = True) -> None:
        """A call has ended; one that was given up before its answer does not count."""
        if counts:
            saturated = bool(self._waiting)
            self.adaptive.ended(now, self._in_flight, saturated=saturated, failed=failed)
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self.adaptive.limit:
            self._in_flight += 1
            self._waiting.popleft().set()

    def statistics(self) -> GateStatistics:
        adaptive = self.adaptive
        return GateStatistics(adaptive.limit, self._in_flight, len(self._waiting), adaptive.rate)
