"""A raw HTTP/1.1 server in the test's own event loop, for what no real one would do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream


class Exchange:
    """One request as the server sees it."""

    def __init__(self, head: bytes, body: bytes, stream: SocketStream) -> None:
        self.line = head.split(b"\r\n", 1)[0].decode()
        lines = [line.split(b":", 1) for line in head.split(b"\r\n")[1:]]
        self.headers = {name.decode().lower(): value.strip().decode() for name, value in lines}
        self.path = self.line.split()[1]
        self.body = body
        self.stream = stream

    async def reply(self, body: bytes = b"", status: int = 200, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await self.stream.send(head.encode() + body)


Handler = Callable[[Exchange], Awaitable[None]]


class Server:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.connections = 0
        self.requests: list[Exchange] = []
        self.closed = anyio.Event()
        """Some client has closed its connection."""


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """Raw HTTP/1.1: the handler writes what it likes, and closes by raising `EndOfStream`."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        server = Server(listener.extra(SocketAttribute.local_port))

        async def talk(stream: SocketStream) -> None:
            server.connections += 1
            async with stream:
                try:
                    await converse(stream)
                except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead):
                    server.closed.set()

        async def converse(stream: SocketStream) -> None:
            reader = BufferedByteReceiveStream(stream)
            while True:
                head = await reader.receive_until(b"\r\n\r\n", 65_536)
                exchange = Exchange(head, b"", stream)
                length = int(exchange.headers.get("content-length", "0"))
                exchange.body = await reader.receive_exactly(length) if length else b""
                server.requests.append(exchange)
                await handler(exchange)

        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, talk)
            try:
                yield server
            finally:
                group.cancel_scope.cancel()


async def ok(exchange: Exchange) -> None:
    await exchange.reply(b"ok")


async def hang(exchange: Exchange) -> None:
    await exchange.stream.receive()
