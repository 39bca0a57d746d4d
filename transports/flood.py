"""Messages that nobody asked for, counted: from a server that sends too many, nothing is heard."""

from collections import deque
from collections.abc import Callable

SECONDS = 10.0
_PARTS = 4


class Flood:
    """Costs an addition for a message, and a look at the clock for a quarter of `limit`."""

    __slots__ = ("_clock", "_count", "_limit", "_stamps", "_step", "_too_many")

    def __init__(
        self, limit: int, clock: Callable[[], float], too_many: Callable[[int], None]
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._too_many = too_many
        self._step = max(1, limit // _PARTS)
        self._count = 0
        self._stamps: deque[float] = deque(maxlen=_PARTS + 1)

    def one_more(self) -> None:
        """Calls `too_many` when `limit` came within `SECONDS`, at the latest when another quarter
        has come.
        """
        self._count += 1
        if self._count < self._step:
            return
        self._count = 0
        stamps = self._stamps
        stamps.append(self._clock())
        if len(stamps) > _PARTS and stamps[-1] - stamps[0] < SECONDS:
            self._too_many(self._limit)
