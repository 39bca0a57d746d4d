"""Live events for whoever embeds the runtime."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from nexau.trajectory import Event

BUFFER = 256
"""Events that a subscriber may lag behind before rollouts wait for it."""


class Feed:
    """One subscriber's events. Ends with its `subscribe` block or the runtime; what came before
    that can still be read.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._closed = False
        self._changed = anyio.Event()

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            await self._changed.wait()
        event = self._events.popleft()
        if len(self._events) == BUFFER - 1:
            self._notify()
        return event

    async def put(self, event: Event) -> None:
        """Waits for room, unless the feed is closed: then the event is dropped."""
        while len(self._events) >= BUFFER and not self._closed:
            await self._changed.wait()
        if self._closed:
            return
        self._events.append(event)
        if len(self._events) == 1:
            self._notify()

    def close(self) -> None:
        self._closed = True
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class Hub:
    """Passes each event to every subscriber, in the order of its rollout."""

    def __init__(self) -> None:
        self._feeds: list[Feed] = []

    @property
    def listened(self) -> bool:
        return bool(self._feeds)

    async def publish(self, event: Event) -> None:
        """Waits for the slowest subscriber."""
        for feed in tuple(self._feeds):
            await feed.put(event)

    @contextmanager
    def subscribe(self) -> Iterator[Feed]:
        feed = Feed()
        self._feeds.append(feed)
        try:
            yield feed
        finally:
            self._feeds.remove(feed)
            feed.close()

    def close(self) -> None:
        for feed in self._feeds:
            feed.close()
