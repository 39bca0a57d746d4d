"""The encoded beginning of each conversation, kept from one turn to the next.

Without it every turn encodes the whole history again, which is quadratic in the number of turns.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from nexau.models.base import Message

ENTRIES = 32_768
BYTES = 256 << 20


class PrefixStatistics(Struct, frozen=True, gc=False):
    conversations: int
    bytes: int
    hits: int
    misses: int
    """First turns, and turns whose conversation was evicted or changed."""


class _Prefix:
    __slots__ = ("data", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.data = bytearray()


class Prefixes:
    """Keyed by the identity of the sequence of messages, and checked against the messages
    themselves: an entry that does not hold exactly what the conversation begins with is not used.

    Least recently used ones go when there are more than `entries`, or more than `size` bytes.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[Message]], bytes],
        *,
        entries: int = ENTRIES,
        size: int = BYTES,
    ) -> None:
        self._encode = encode
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
        self._prefixes[key] = prefix
        self._bytes += len(prefix.data)
        if self._bytes > self._size or len(self._prefixes) > self._entries:
            self._evict()
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

    def _evict(self) -> None:
        while self._prefixes and (self._bytes > self._size or len(self._prefixes) > self._entries):
            oldest = next(iter(self._prefixes))
            self._bytes -= len(self._prefixes.pop(oldest).data)
