"""Sets of whole numbers that are mostly without gaps: which rollouts have ended."""

from bisect import bisect_right
from collections.abc import Iterator


class Ranges:
    """Memory grows with the gaps, not with the numbers."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._first, number) - 1
        return index >= 0 and number <= self._last[index]

    def add(self, number: int) -> bool:
        """Whether it was not in before."""
        first, last = self._first, self._last
        index = bisect_right(first, number)
        if index and number <= last[index - 1]:
            return False
        self._count += 1
        joins_left = bool(index) and last[index - 1] == number - 1
        joins_right = index < len(first) and first[index] == number + 1
        if joins_left and joins_right:
            last[index - 1] = last[index]
            del first[index], last[index]
        elif joins_left:
            last[index - 1] = number
        elif joins_right:
            first[index] = number
        else:
            first.insert(index, number)
            last.insert(index, number)
        return True

    def missing(self, end: int) -> Iterator[int]:
        """The numbers below `end` that are not in, in order."""
        at = 0
        for first, last in zip(tuple(self._first), tuple(self._last), strict=True):
            yield from range(at, min(first, end))
            at = last + 1
        yield from range(at, end)
