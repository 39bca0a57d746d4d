"""Live events for whoever embeds the runtime."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from nexau.trajectory import Event

BUFFER = 256
"""Events that a subscriber may lag behind before rollouts wait for it."""


class Hub:
    """Passes each event to every subscriber, in the order of its rollout."""

    def __init__(self) -> None:
        self._streams: set[MemoryObjectSendStream[Event]] = set()

    @property
    def listened(self) -> bool:
        return bool(self._streams)

    async def publish(self, event: Event) -> None:
        """Waits for the slowest subscriber."""
        for stream in tuple(self._streams):
            try:
                await stream.send(event)
            except anyio.BrokenResourceError:
                self._streams.discard(stream)

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[Event]]:
        """Events of rollouts that start from now on. The iteration ends with the runtime."""
        send, receive = anyio.create_memory_object_stream[Event](BUFFER)
        self._streams.add(send)
        try:
            with receive:
                yield receive
        finally:
            self._streams.discard(send)
            send.close()

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._streams.clear()
