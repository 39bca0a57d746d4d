"""`HttpClient` for every backend that is not asyncio: keep-alive connections over bare sockets.

Whoever waits for an answer reads the socket itself, so that a request costs one wake-up; over
httpx2 it costs ten times as much. TLS, proxies and HEAD are left to httpx2.
"""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, TaskGroup

from nexau.transports._http_answer import Answer
from nexau.transports._http_client import PoolClient, opened
from nexau.transports._http_pool import Origin, Pool
from nexau.transports.http import HttpFailure
from nexau.transports.scoping import background

_READ_SIZE = 65_536
_KNOWN = 10.0
"""Seconds for which the address that answered is remembered."""


@asynccontextmanager
async def open_client(limit: int) -> AsyncIterator[PoolClient]:
    async with background() as tasks:
        network = _Network(tasks)
        pool = Pool(limit, anyio.current_time, network.call_at, network.connect)
        async with opened(pool, limit, "httpx2", tls=False) as client:
            yield client


class _Network:
    """Makes connections, and remembers which address of a host answered."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._locks: dict[Origin, anyio.Lock] = {}
        self._addresses: dict[Origin, tuple[float, str]] = {}

    def call_at(self, when: float, callback: Callable[[], None]) -> anyio.CancelScope:
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                await anyio.sleep_until(when)
                callback()

        self._tasks.start_soon(wait)
        return scope

    async def connect(
        self, origin: Origin, on_lost: Callable[["SocketConnection"], None]
    ) -> "SocketConnection":
        """Raises OSError."""
        async with self._locks.setdefault(origin, anyio.Lock(fast_acquire=True)):
            until, address = self._addresses.get(origin, (0.0, origin.host))
            if anyio.current_time() >= until:
                sock = await _connected(origin.host, origin.port)
                address = sock.getpeername()[0]
                self._addresses[origin] = (anyio.current_time() + _KNOWN, address)
                return SocketConnection(sock, on_lost)
        return SocketConnection(await _connected(address, origin.port), on_lost)


async def _connected(host: str, port: int) -> socket.socket:
    """A non-blocking socket. Raises OSError, with the number of the first cause."""
    failure: OSError
    try:
        stream = await anyio.connect_tcp(host, port)
    except OSError as error:
        # A name that does not resolve has numbers of its own; all others are in a group.
        found = error if isinstance(error, socket.gaierror) else next(_causes(error), error)
        failure = type(found)(*found.args) if found.args else OSError()
    else:
        try:
            # The stream's own would be closed with the stream, and not without waiting.
            return stream.extra(SocketAttribute.raw_socket).dup()
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
    raise failure


def _causes(error: BaseException | None) -> Iterator[OSError]:
    """Errors with a number, innermost groups opened."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    elif error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            yield error
        yield from _causes(error.__cause__)


class SocketConnection(Answer):
    """Carries one exchange after another: `send`, `head`, then `read` or `chunk`."""

    def __init__(self, sock: socket.socket, on_lost: Callable[["SocketConnection"], None]) -> None:
        super().__init__()
        self._sock = sock
        self._on_lost = on_lost
        self._open = True
        self._aborted = False
        self._waiting = False
        self._unsent = memoryview(b"")
        self._until: float | None = None

    def send(self, head: bytes, body: bytes | None, until: float | None) -> None:
        """Begins an exchange, which fails at `until`, on the event loop's clock."""
        self._expect()
        self._until = until
        self._unsent = memoryview(head + body if body else head)
        self._push()

    async def head(self) -> bool:
        """Waits for status and headers. False after a failure."""
        while not self._has_head and self.failure is None:
            await self._wait()
        return self.failure is None

    async def read(self) -> bytes | None:
        """What is left of the body. None after a failure."""
        while not self.complete and self.failure is None:
            await self._wait()
        return self._taken() if self.complete else None

    async def chunk(self) -> bytes | None:
        """What has arrived of the body; nothing at its end. None after a failure."""
        while not (self._body or self.complete):
            if self.failure is not None:
                return None
            await self._wait()
        return self._taken()

    def leave(self) -> None:
        """The exchange is over for whoever sent it."""

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the answer has been received to its end, and
        nothing has come since, not even the end of the connection."""
        if not (self.complete and self._keep and self._open) or self._unsent:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def fail(self, kind: HttpFailure, message: str) -> None:
        super().fail(kind, message)
        self.abort()

    def abort(self) -> None:
        self._keep = False
        self._aborted = True
        if not self._waiting:
            self._close()
        elif self._open:
            # Its reader wakes, and closes it: a descriptor must not be closed while one waits.
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._sock.close()
            self._on_lost(self)

    async def _wait(self) -> None:
        """Until something has arrived, the connection has broken off, or time is up."""
        late = False
        self._waiting = True
        try:
            if self._until is None:
                await self._ready()
            else:
                with anyio.CancelScope(deadline=self._until) as scope:
                    await self._ready()
                late = scope.cancelled_caught
        finally:
            self._waiting = False
            if self._aborted:
                self._close()
        if late:
            self.fail("timeout", "timed out")
        elif self._open:
            self._receive()

    async def _ready(self) -> None:
        if not self._unsent:
            await anyio.wait_readable(self._sock)
            return
        # An answer may come before all of the request has been taken.
        async with anyio.create_task_group() as tasks:

            async def either(wait: Callable[[socket.socket], object]) -> None:
                await wait(self._sock)  # type: ignore[misc]
                tasks.cancel_scope.cancel()

            tasks.start_soon(either, anyio.wait_readable)
            tasks.start_soon(either, anyio.wait_writable)
        self._push()

    def _push(self) -> None:
        """Sends what is taken now. What cannot be sent is let go: an answer may be there still."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = memoryview(b"")
            self._keep = False

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._broke_off(cleanly=False)
        else:
            if data:
                self._feed(data)
                return
            self._broke_off(cleanly=True)
        self.abort()
