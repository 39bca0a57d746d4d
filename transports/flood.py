"""Messages that nobody asked for, counted in windows: past a limit, the server is not heard."""

from collections.abc import Callable

SECONDS = 10.0
"""Of a window."""


class Flood:
    """Costs an addition for a message, and a look at the clock for each `limit` of them."""

    __slots__ = ("_clock", "_count", "_limit", "_since", "_too_many")

    def __init__(
        self, limit: int, clock: Callable[[], float], too_many: Callable[[int], None]
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._too_many = too_many
        self._count = 0
        self._since = clock()

    def one_more(self) -> None:
        """Calls `too_many` when more than `limit` came within `SECONDS`."""
        self._count += 1
        if self._count <= self._limit:
            return
        now = self._clock()
        if now - self._since < SECONDS:
            self._too_many(self._limit)
        self._since = now
        self._count = 0
