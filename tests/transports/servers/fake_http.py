"""A server over streamable HTTP in the test's own event loop, for what no real one would do."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus

from nexau.transports.connection import Connection, HttpTarget, open_connection
from nexau.transports.protocol import Result, Text

PATIENT = 20.0
"""Seconds that nothing takes."""
SHORT = 0.3
"""Seconds until a call that is never answered times out."""


async def call(
    server: Connection, name: str = "work", timeout: float = PATIENT, **arguments: Any
) -> Result:
    with anyio.fail_after(PATIENT):
        return await server.call(name, arguments, call_id="c", timeout=timeout)


def words(result: Result) -> str:
    return "".join(part.text for part in result.content if isinstance(part, Text))


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


class Request(msgspec.Struct):
    verb: str
    headers: dict[str, str]
    message: Any

    @property
    def method(self) -> str | None:
        return self.message.get("method") if isinstance(self.message, dict) else None


class Reply:
    """What a handler does to the connection of its request."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream

    async def whole(
        self,
        status: int,
        body: bytes = b"",
        kind: str = "application/json",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        extra = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\ncontent-type: {kind}\r\n"
        await self.stream.send(f"{head}{extra}\r\n".encode() + body)

    async def json(
        self, message: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        await self.whole(status, msgspec.json.encode(message), headers=headers)

    async def result(
        self, request: Request, result: Any, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "result": result}
        await self.json(answer, headers=headers)

    async def events(self) -> None:
        head = b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked"
        await self.stream.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")

    async def event(self, message: Any, event_id: str = "", more: str = "") -> None:
        lines = more + (f"id: {event_id}\n" if event_id else "")
        data = msgspec.json.encode(message) if message is not None else b""
        await self.chunk(lines.encode() + b"data: " + data + b"\n\n")

    async def chunk(self, data: bytes) -> None:
        await self.stream.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.stream.send(b"0\r\n\r\n")

    async def hang(self) -> None:
        """Wait until the client goes away."""
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            while True:
                await self.stream.receive()
        raise anyio.BrokenResourceError


Handler = Callable[[Request, Reply], Awaitable[None]]


class Server:
    """A server of 2025-11-25 that keeps sessions; `handlers` take over methods and verbs."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.handlers: dict[str, Handler] = {}
        self.session = "s1"
        self.port = 0
        self.left = anyio.Event()
        """A client has closed a connection that was being served."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def requests(self, method: str) -> list[Request]:
        return [request for request in self.seen if method in (request.method, request.verb)]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until `down` is cancelled; can be run again, at the same port."""
        async with await anyio.create_tcp_listener(
            local_host="127.0.0.1", local_port=self.port
        ) as listener:
            self.port = listener.extra(SocketAttribute.local_port)
            with anyio.CancelScope() as self.down:
                task_status.started()
                await listener.serve(self.serve)

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            buffer = b""
            while True:
                try:
                    while (end := buffer.find(b"\r\n\r\n")) < 0:
                        buffer += await stream.receive()
                    lines = buffer[:end].decode().split("\r\n")
                    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
                    length = int(headers.get("content-length", 0))
                    while len(buffer) < end + 4 + length:
                        buffer += await stream.receive()
                    body = buffer[end + 4 : end + 4 + length]
                    buffer = buffer[end + 4 + length :]
                    message = msgspec.json.decode(body) if body else None
                    request = Request(lines[0].split()[0], headers, message)
                    self.seen.append(request)
                    await self.respond(request, Reply(stream))
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    self.left.set()
                    return

    async def respond(self, request: Request, reply: Reply) -> None:
        handler = self.handlers.get(request.method or request.verb)
        if handler is not None:
            await handler(request, reply)
        elif request.verb == "DELETE":
            await reply.whole(200)
        elif request.verb == "GET":
            await reply.whole(405)
        elif request.method == "initialize":
            answer = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "server", "version": "1"},
            }
            await reply.result(request, answer, {"Mcp-Session-Id": self.session})
        elif request.method == "server/discover":
            await reply.whole(400, b"Bad Request: no session", "text/plain")
        elif request.headers.get("mcp-session-id") != self.session:
            await reply.whole(404, b"no such session")
        elif request.method == "tools/list":
            await reply.result(
                request, {"tools": [{"name": "work", "inputSchema": {"type": "object"}}]}
            )
        elif request.method is None or request.method.startswith("notifications/"):
            await reply.whole(202)
        else:
            await reply.result(request, text("ok"))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        yield server
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[Connection]:
    target = HttpTarget(server.url, options.pop("headers", {}), options.pop("listen", False))
    async with open_connection(target, name="h", **options) as connection:
        yield connection
