"""The arithmetic of supervision: pure functions of `now`, tested by tables."""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from nexau.actors.specs import Backoff, RestartType, Strategy

T = TypeVar("T")


def add_restart(stamps: deque[float], now: float, intensity: int, period: float) -> bool:
    """Count a restart at `now`; False when it is one too many for the window.

    As OTP's: the window is closed on its left end, so a restart exactly `period` ago counts.
    """
    while stamps and stamps[0] < now - period:
        stamps.popleft()
    stamps.append(now)
    return len(stamps) <= intensity


def restarts(restart: RestartType, crashed: bool) -> bool:
    """Whether a child of this type is started again."""
    return restart == "permanent" or (restart == "transient" and crashed)


def affected(strategy: Strategy, children: Sequence[T], failed: T) -> list[T]:
    """The children, in start order, that the failure of one of them concerns."""
    if strategy == "one_for_one":
        return [failed]
    if strategy == "one_for_all":
        return list(children)
    return list(children[children.index(failed) :])


class Delay:
    """Where a child stands in its backoff."""

    __slots__ = ("last", "row")

    def __init__(self) -> None:
        self.row = 0
        self.last = 0.0

    def next(self, backoff: Backoff, now: float, random: Random) -> float:
        """Seconds to wait before a restart decided at `now`."""
        if self.row and now - self.last >= backoff.reset_after:
            self.row = 0
        self.last = now
        full = min(backoff.max, backoff.min * 2.0 ** min(self.row, 64))
        self.row += 1
        return full * (1 - backoff.jitter * random.random())
