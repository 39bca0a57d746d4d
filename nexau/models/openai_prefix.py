"""The encoded beginning of each conversation, kept from one turn to the next.

Without it every turn encodes the whole history again, which is quadratic in the number of turns.
"""

import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from nexau.models.base import Message

ENTRIES = 32_768
BYTES = 256 << 20
AGE = 300.0
"""Seconds without a turn. A conversation that a limit has cut off says no last word."""


class PrefixStatistics(Struct, frozen=True, gc=False):
    conversations: int
    bytes: int
    hits: int
    misses: int
    """First turns, and turns whose conversation was evicted or changed."""


class _Prefix:
    __slots__ = ("data", "messages", "used")

    def __init__(self) -> None:
        self.used = 0.0
        self.messages: list[Message] = []
        self.data = bytearray()


class Prefixes:
    """Keyed by the identity of the sequence of messages, and checked against the messages
    themselves: an entry that does not hold exactly what the conversation begins with is not used.

    Least recently used ones go when there are more than `entries`, or more than `size` bytes, and
    any after `age` seconds.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[Message]], bytes],
        *,
        entries: int = ENTRIES,
        size: int = BYTES,
        age: float = AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encode = encode
        self._age = age
        self._clock = clock
        self._entries = entries
        self._size = size
        self._prefixes: dict[int, _Prefix] = {}
        self._bytes = 0
        self._hits = 0
        self._misses = 0

    def encoded(self, messages: Sequence[Message]) -> bytearray:
        """All of `messages`. Valid until the next call with the same conversation."""
        key = id(messages)
        prefix = self._prefixes.pop(key, None)
        if prefix is not None:
            self._bytes -= len(prefix.data)
            count = len(prefix.messages)
            # Identical objects compare without a look inside, so this costs 5 ns a message.
            if prefix.messages != list(messages[:count]):
                prefix = None
        if prefix is None:
            self._misses += 1
            prefix = _Prefix()
        else:
            self._hits += 1
        new = messages[len(prefix.messages) :]
        if new:
            if prefix.data:
                prefix.data += b","
            prefix.data += self._encode(new)
            prefix.messages.extend(new)
        prefix.used = self._clock()
        self._prefixes[key] = prefix
        self._bytes += len(prefix.data)
        self._evict(prefix.used - self._age)
        return prefix.data

    def forget(self, messages: Sequence[Message]) -> None:
        """The conversation has ended."""
        prefix = self._prefixes.pop(id(messages), None)
        if prefix is not None:
            self._bytes -= len(prefix.data)

    def clear(self) -> None:
        self._prefixes.clear()
        self._bytes = 0

    def statistics(self) -> PrefixStatistics:
        return PrefixStatistics(len(self._prefixes), self._bytes, self._hits, self._misses)

    def _evict(self, expired: float) -> None:
        while self._prefixes:
            key = next(iter(self._prefixes))
            oldest = self._prefixes[key]
            fits = self._bytes <= self._size and len(self._prefixes) <= self._entries
            if fits and oldest.used >= expired:
                return
            del self._prefixes[key]
            self._bytes -= len(oldest.data)
