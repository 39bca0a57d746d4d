"""Attempts that have done something which is not written, by how long that has been so."""

from nexau.journal.records import Attempt


class Unwritten:
    """By place. Those of an attempt that ends before its turn comes are never written: its
    trajectory tells all of it.
    """

    __slots__ = ("_interval", "_old", "_young", "due_at")

    def __init__(self, flush: float) -> None:
        self._interval = flush / 2
        """Seconds. So none waits for longer than `flush`, and nothing is written of an attempt that
        takes less than half of it.
        """
        self.due_at = 0.0
        self._young: dict[int, Attempt] = {}
        """Since the last time that some were due."""
        self._old: dict[int, Attempt] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, place: int, attempt: Attempt) -> None:
        self._young[place] = attempt

    def forget(self, place: int) -> None:
        self._young.pop(place, None)
        self._old.pop(place, None)

    def due(self, now: float) -> dict[int, Attempt]:
        """Those to be written now, which had something the last time already."""
        if now < self.due_at:
            return {}
        self.due_at = now + self._interval
        due, self._old, self._young = self._old, self._young, {}
        return due

    def all(self) -> dict[int, Attempt]:
        """Those to be written where nothing may be left."""
        due, self._old, self._young = self._old | self._young, {}, {}
        return due
