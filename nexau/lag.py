"""How late the event loop is: the runtime watches itself."""

import time

import anyio

from nexau.actors import Actor
from nexau.histogram import Histogram
from nexau.transports.log import get_logger

INTERVAL = 0.05
WARN_SECONDS = 1.0
WARN_EVERY = 30.0

log = get_logger("nexau.lag")


class LagMonitor(Actor):
    """Sleeps, and measures by how much it overslept."""

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram
        self._warned = -WARN_EVERY

    async def started(self) -> None:
        self.context.start_soon(self._watch, name="watch")

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(INTERVAL)
            now = time.perf_counter()
            lag = max(0.0, now - before - INTERVAL)
            self.histogram.add(lag)
            if lag > WARN_SECONDS and now - self._warned >= WARN_EVERY:
                self._warned = now
                log.warning(
                    "the event loop was held",
                    seconds=round(lag, 3),
                    hint="something computes on the loop; plain functions as tools run in threads",
                )
