"""A sink that posts lines to a URL, in batches, and again where that fails.

    POST url
    content-type: application/x-ndjson
    idempotency-key: 4f1c...-17

The key stays the same for a batch that is sent again, so a receiver that remembers keys takes each
batch once. Without that a batch may be there twice, when an answer was lost; never not at all.
"""

import random
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from nexau.output.sinks import Emits, Item
from nexau.secrets.redaction import SECRETS
from nexau.transports.http import HttpClient, HttpError, open_http, public_url
from nexau.transports.log import get_logger
from nexau.transports.retry import RETRIED, asked_wait, backoff
from nexau.transports.scoping import background

log = get_logger("nexau.output.httpsink")

LINES = 256
BYTES = 1 << 20
"""Of one batch."""
LINGER = 1.0
"""Seconds for which lines gather, at most."""
PATIENCE = 300.0
"""Seconds for which one batch is tried."""
TIMEOUT = 30.0


class HttpSink:
    """A `Sink`; made by `open_http_sink`. Holds one batch and the one that is being sent."""

    def __init__(
        self, http: HttpClient, url: str, emits: Emits, headers: Mapping[str, str], patience: float
    ) -> None:
        self.emits: Emits = emits
        self._http = http
        self._url = url
        self._headers = {"content-type": "application/x-ndjson", **headers}
        self._patience = patience
        self._name = secrets.token_hex(8)
        self._encoder = msgspec.json.Encoder()
        self._lines: list[bytes] = []
        self._size = 0
        self._changed = anyio.Event()
        self._closing = False
        self._sending = False
        self._error: OSError | None = None
        self._batches = self._attempts = self._sent = 0
        self._chance = random.Random()

    async def write(self, item: Item) -> None:
        """Waits while a batch is full and the one before it is still being sent. Raises OSError
        once a batch cannot be sent.
        """
        await self.write_line(SECRETS.line(self._encoder.encode(item)))

    async def write_line(self, line: bytes) -> None:
        while self._full() and self._error is None:
            await self._changed.wait()
        if self._error is not None:
            raise OSError(*self._error.args)
        self._lines.append(line)
        self._size += len(line) + 1
        if self._full() or len(self._lines) == 1:
            self._notify()

    async def flush(self) -> None:
        """Returns when all has been sent. Raises as `write`."""
        self._closing = True
        self._notify()
        while (self._lines or self._sending) and self._error is None:
            await self._changed.wait()
        self._closing = False
        if self._error is not None:
            raise OSError(*self._error.args)

    def statistics(self) -> dict[str, Any]:
        return {
            "waiting": len(self._lines),
            "sent": self._sent,
            "batches": self._batches,
            "attempts": self._attempts,
        }

    def _full(self) -> bool:
        return len(self._lines) >= LINES or self._size >= BYTES

    async def run(self) -> None:
        """Sends; the task that `open_http_sink` starts."""
        while self._error is None:
            while not self._lines:
                await self._changed.wait()
            with anyio.move_on_after(LINGER):
                while not self._full() and not self._closing:
                    await self._changed.wait()
            lines, self._lines, self._size = self._lines, [], 0
            self._batches += 1
            self._sending = True
            self._notify()
            try:
                await self._deliver(b"\n".join([*lines, b""]))
            except OSError as error:
                self._error = error
            else:
                self._sent += len(lines)
            self._sending = False
            self._notify()

    async def _deliver(self, body: bytes) -> None:
        headers = {**self._headers, "idempotency-key": f"{self._name}-{self._batches}"}
        until = anyio.current_time() + self._patience
        attempt = 0
        while True:
            self._attempts += 1
            problem, asked = await self._post(headers, body)
            if problem is None:
                return
            wait = backoff(attempt, self._chance.random()) if asked is None else asked
            if asked == -1.0 or anyio.current_time() + wait > until:
                raise OSError(5, f"{public_url(self._url)} does not take lines: {problem}")
            log.warning("lines are not taken; they are sent again", reason=problem, wait=wait)
            await anyio.sleep(wait)
            attempt += 1

    async def _post(
        self, headers: Mapping[str, str], body: bytes
    ) -> tuple[str | None, float | None]:
        """What went wrong, and the wait that was asked for; -1 where trying again is of no use."""
        try:
            async with self._http.request(
                "POST", self._url, headers=headers, body=body, timeout=TIMEOUT
            ) as response:
                await response.read()
                if response.status < 300:
                    return None, None
                asked = asked_wait(response.headers, time.time())
                said = f"HTTP status {response.status}"
                return said, asked if response.status in RETRIED else -1.0
        except HttpError as error:
            return str(error), -1.0 if error.kind == "url" else None

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


@asynccontextmanager
async def open_http_sink(
    url: str,
    emits: Emits = "trajectories",
    *,
    headers: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> AsyncIterator[HttpSink]:
    """A sink until the block ends; what was written is sent by then, unless an error leaves the
    block. `patience` is the seconds for which a batch is tried: then the sink fails, and its run.
    """
    async with open_http() as http, background() as tasks:
        sink = HttpSink(http, url, emits, headers or {}, patience)
        tasks.start_soon(sink.run)
        yield sink
        await sink.flush()
