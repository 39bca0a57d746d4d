"""Streamable HTTP: with servers of the official SDK, and with one that breaks what it can."""

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus

from nexau.transports.connection import Connection, ConnectionFailed, HttpTarget, open_connection
from nexau.transports.http import open_http
from nexau.transports.process import open_process
from nexau.transports.protocol import ErrorClass, Progress, Result, Text

pytestmark = pytest.mark.anyio

SDK_SERVER = str(Path(__file__).parent / "servers" / "sdk_server.py")
PATIENT = 20.0
SHORT = 0.3


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
        self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str
    ) -> None:
        extra = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\ncontent-type: {kind}\r\n"
        await self.stream.send(f"{head}{extra}\r\n".encode() + body)

    async def json(self, message: Any, status: int = 200, **headers: str) -> None:
        await self.whole(status, msgspec.json.encode(message), **headers)

    async def result(self, request: Request, result: Any, **headers: str) -> None:
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "result": result}
        await self.json(answer, **headers)

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
            await reply.result(request, answer, Mcp_Session_Id=self.session)
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


@pytest.fixture
async def fake() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


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


# The official SDK's server.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def sdk_server(*options: str) -> AsyncIterator[HttpTarget]:
    port = free_port()
    args = [SDK_SERVER, "http", str(port), *options]
    async with open_process(sys.executable, args, pipes=False, grace=0.2):
        with anyio.fail_after(PATIENT):
            while True:
                try:
                    stream = await anyio.connect_tcp("127.0.0.1", port)
                except OSError:
                    await anyio.sleep(0.02)
                else:
                    await stream.aclose()
                    break
        yield HttpTarget(f"http://127.0.0.1:{port}/mcp")


@pytest.mark.parametrize("options", [("json",), ("sse",), ("sse", "legacy")])
async def test_talks_to_a_server_of_the_sdk(options: tuple[str, ...]) -> None:
    seen: list[Progress] = []
    told = anyio.Event()
    async with sdk_server(*options) as target, open_connection(target, name="sdk") as server:
        expected = "2025-11-25" if "legacy" in options else "2026-07-28"
        assert server.protocol_version == expected
        assert server.server_info is not None
        assert server.server_info.name == "sdk-server"
        assert (await call(server, "add", a=1, b=2)).structured == {"total": 3}
        assert len((await call(server, "mixed")).content) == 5
        assert (await call(server, "fail")).error_class == "tool_error"
        assert (await call(server, "nope")).error_class == "unknown_tool"
        assert words(await call(server, "region", where="Zürich")) == "Zürich"
        assert (await call(server, "slow", SHORT, seconds=60)).error_class == "timeout"
        await server.call("count", {"to": 3}, call_id="c9", timeout=9, on_progress=seen.append)
        server.on_tools_changed = told.set
        await call(server, "grow")
        with anyio.fail_after(PATIENT):
            await told.wait()
        assert await server.ping(PATIENT) < PATIENT
    if "json" not in options:
        assert [progress.progress for progress in seen] == [1, 2, 3]


# Sessions and headers.


async def test_sends_the_headers_of_the_protocol(fake: Server) -> None:
    async with connected(fake, headers={"Authorization": "Bearer t"}) as server:
        assert not (await call(server)).is_error
    (initialize,) = fake.requests("initialize")
    assert "mcp-session-id" not in initialize.headers
    assert "mcp-protocol-version" not in initialize.headers
    (request,) = fake.requests("tools/call")
    assert request.headers["mcp-session-id"] == "s1"
    assert request.headers["mcp-protocol-version"] == "2025-11-25"
    assert request.headers["authorization"] == "bearer t"
    assert request.headers["accept"] == "application/json, text/event-stream"
    assert request.message["params"] == {"name": "work", "arguments": {}}


async def test_ends_its_session(fake: Server) -> None:
    async with connected(fake):
        pass
    (delete,) = fake.requests("DELETE")
    assert delete.headers["mcp-session-id"] == "s1"
    assert delete.headers["mcp-protocol-version"] == "2025-11-25"


async def test_a_session_that_cannot_be_ended_does_not_hold_us_up(fake: Server) -> None:
    async def hang(_: Request, reply: Reply) -> None:
        await reply.hang()

    fake.handlers["DELETE"] = hang
    with anyio.fail_after(PATIENT):
        async with connected(fake):
            pass
    assert fake.requests("DELETE")


async def test_many_sessions_share_one_client(fake: Server) -> None:
    async with open_http() as http:
        for _ in range(3):
            async with connected(fake, http=http) as server:
                assert not (await call(server)).is_error
        async with http.request("POST", fake.url, body=b"{}") as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"gone"), (400, b'{"error": "No valid session ID provided"}')]
)
async def test_a_forgotten_session_closes_the_connection(
    fake: Server, status: int, body: bytes
) -> None:
    async def forget(_: Request, reply: Reply) -> None:
        await reply.whole(status, body)

    async with connected(fake) as server:
        assert not (await call(server)).is_error
        fake.handlers["tools/call"] = forget
        assert (await call(server)).error_class == "unavailable"
        with anyio.fail_after(PATIENT):
            assert "no longer knows the session" in str(await server.wait_closed())
        assert not server.alive
    assert not fake.requests("DELETE")


# One broken answer fails one call.


async def refuse(_: Request, reply: Reply) -> None:
    await reply.whole(500, b"it broke", "text/plain")


async def accept(_: Request, reply: Reply) -> None:
    await reply.whole(202)


async def html(_: Request, reply: Reply) -> None:
    await reply.whole(200, b"<html>", "text/html")


async def no_json(_: Request, reply: Reply) -> None:
    await reply.whole(200, b"{nope")


async def wrong_id(_: Request, reply: Reply) -> None:
    await reply.json({"jsonrpc": "2.0", "id": 99_999, "result": text("?")})


async def empty(_: Request, reply: Reply) -> None:
    await reply.whole(200)


async def cut_off(_: Request, reply: Reply) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    await reply.stream.send(head + b'{"jsonrpc"')
    raise anyio.BrokenResourceError


async def hang_up(_: Request, __: Reply) -> None:
    raise anyio.BrokenResourceError


async def no_http(_: Request, reply: Reply) -> None:
    await reply.stream.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    raise anyio.BrokenResourceError


async def huge(_: Request, reply: Reply) -> None:
    await reply.whole(200, b" " * 3_000_000)


async def huge_in_chunks(_: Request, reply: Reply) -> None:
    head = b"content-type: application/json\r\ntransfer-encoding: chunked"
    await reply.stream.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
    for _number in range(3_000):
        await reply.chunk(b" " * 1_000)
    await reply.end()


async def huge_event(_: Request, reply: Reply) -> None:
    await reply.events()
    await reply.chunk(b"data: ")
    for _number in range(3_000):
        await reply.chunk(b" " * 1_000)
    await reply.end()


async def no_answer(_: Request, reply: Reply) -> None:
    await reply.events()
    await reply.chunk(b": just a comment\n\n")
    await reply.end()


async def broken_event(request: Request, reply: Reply) -> None:
    await reply.events()
    await reply.chunk(b'data: {"jsonrpc":"2.0","id":%d,"resu\n\n' % request.message["id"])
    await reply.end()


async def forbidden(request: Request, reply: Reply) -> None:
    error = {"code": -32602, "message": "not like this"}
    await reply.json({"jsonrpc": "2.0", "id": None, "error": error}, 400)


@pytest.mark.parametrize(
    ("handler", "error_class"),
    [
        (refuse, "unavailable"),
        (accept, "unavailable"),
        (html, "protocol"),
        (no_json, "protocol"),
        (empty, "protocol"),
        (wrong_id, "protocol"),
        (cut_off, "unavailable"),
        (hang_up, "unavailable"),
        (no_http, "unavailable"),
        (huge, "too_large"),
        (huge_in_chunks, "too_large"),
        (huge_event, "too_large"),
        (no_answer, "unavailable"),
        (broken_event, "protocol"),
        (forbidden, "invalid_arguments"),
    ],
)
async def test_a_broken_answer_fails_one_call(
    fake: Server, handler: Handler, error_class: ErrorClass
) -> None:
    async with connected(fake, max_result_bytes=100_000) as server:
        fake.handlers["tools/call"] = handler
        result = await call(server)
        assert result.error_class == error_class, result
        assert words(result)
        del fake.handlers["tools/call"]
        assert words(await call(server)) == "ok"
        assert server.statistics()["errors"] == {error_class: 1}


async def test_tries_again_what_was_not_processed(fake: Server) -> None:
    async def busy(_: Request, reply: Reply) -> None:
        del fake.handlers["tools/call"]
        await reply.whole(429, retry_after="0")

    async with connected(fake) as server:
        fake.handlers["tools/call"] = busy
        assert words(await call(server)) == "ok"
    assert len(fake.requests("tools/call")) == 2


async def test_a_server_that_is_down_fails_the_call_and_may_come_back() -> None:
    server = Server()
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        async with connected(server) as connection:
            assert words(await call(connection)) == "ok"
            server.down.cancel()
            await anyio.wait_all_tasks_blocked()
            assert (await call(connection)).error_class == "unavailable"
            await tasks.start(server.run)
            assert words(await call(connection)) == "ok"
        tasks.cancel_scope.cancel()


async def test_says_why_no_session_came_about() -> None:
    target = HttpTarget(f"http://127.0.0.1:{free_port()}/mcp")
    with pytest.raises(ConnectionFailed, match="h: cannot connect"):
        async with open_connection(target, name="h"):
            pytest.fail("opened")


async def test_says_that_a_server_refuses_us(fake: Server) -> None:
    async def unauthorized(_: Request, reply: Reply) -> None:
        await reply.whole(401, b"who are you?", "text/plain")

    fake.handlers["POST"] = fake.handlers["initialize"] = unauthorized
    with pytest.raises(ConnectionFailed, match="HTTP 401: who are you"):
        async with connected(fake):
            pytest.fail("opened")


# Cancellation and time.


async def hang(_: Request, reply: Reply) -> None:
    await reply.hang()


async def hang_in_stream(_: Request, reply: Reply) -> None:
    await reply.events()
    await reply.chunk(b": wait\n\n")
    await reply.hang()


@pytest.mark.parametrize("handler", [hang, hang_in_stream])
async def test_a_cancelled_call_closes_its_stream_and_tells_the_server(
    fake: Server, handler: Handler
) -> None:
    told = anyio.Event()

    async def cancelled(_: Request, reply: Reply) -> None:
        told.set()
        await reply.whole(202)

    fake.handlers |= {"tools/call": handler, "notifications/cancelled": cancelled}
    async with connected(fake) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, server)
            while not fake.requests("tools/call"):
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(PATIENT):
            await fake.left.wait()
            await told.wait()
        (request,) = fake.requests("tools/call")
        (notification,) = fake.requests("notifications/cancelled")
        assert notification.message["params"]["requestId"] == request.message["id"]
        assert server.statistics()["in_flight"] == 0


@pytest.mark.parametrize("handler", [hang, hang_in_stream])
async def test_times_out(fake: Server, handler: Handler) -> None:
    fake.handlers["tools/call"] = handler
    async with connected(fake) as server:
        assert (await call(server, timeout=SHORT)).error_class == "timeout"
        with anyio.fail_after(PATIENT):
            await fake.left.wait()
        del fake.handlers["tools/call"]
        assert words(await call(server)) == "ok"


# Event streams.


async def test_keeps_the_connection_of_a_stream_that_ends_properly(fake: Server) -> None:
    streams: list[SocketStream] = []

    async def stream(request: Request, reply: Reply) -> None:
        streams.append(reply.stream)
        await reply.events()
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "result": text("ok")}
        await reply.event(answer)
        await reply.end()

    fake.handlers["tools/call"] = stream
    async with connected(fake) as server:
        for _ in range(3):
            assert words(await call(server)) == "ok"
    assert len(set(map(id, streams))) == 1


async def test_does_not_wait_for_a_stream_that_goes_on_after_the_answer(fake: Server) -> None:
    async def stream(request: Request, reply: Reply) -> None:
        await reply.events()
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "result": text("ok")}
        await reply.event(answer)
        await reply.hang()

    fake.handlers["tools/call"] = stream
    async with connected(fake) as server:
        for _ in range(3):
            assert words(await call(server)) == "ok"


async def test_resumes_a_stream_that_broke_off(fake: Server) -> None:
    async def begin(request: Request, reply: Reply) -> None:
        await reply.events()
        await reply.event(None, "e1", "retry: 10\n")
        await reply.event({"jsonrpc": "2.0", "method": "notifications/message"}, "e2")
        raise anyio.BrokenResourceError

    async def resume(request: Request, reply: Reply) -> None:
        (original,) = fake.requests("tools/call")
        await reply.events()
        if request.headers["last-event-id"] == "e2":
            await reply.event(None, "e3")
        else:
            answer = {"jsonrpc": "2.0", "id": original.message["id"], "result": text("at last")}
            await reply.event(answer, "e4")
        await reply.end()

    fake.handlers |= {"tools/call": begin, "GET": resume}
    async with connected(fake) as server:
        assert words(await call(server)) == "at last"
    assert [get.headers["last-event-id"] for get in fake.requests("GET")] == ["e2", "e3"]


async def test_gives_up_on_a_stream_that_cannot_be_resumed(fake: Server) -> None:
    async def begin(request: Request, reply: Reply) -> None:
        await reply.events()
        await reply.event(None, "e1", "retry: 1\n")
        await reply.end()

    fake.handlers["tools/call"] = begin
    async with connected(fake) as server:
        assert (await call(server)).error_class == "unavailable"
    assert len(fake.requests("GET")) == 1


async def test_listens_for_what_the_server_sends_unasked(fake: Server) -> None:
    answered = anyio.Event()

    async def unasked(request: Request, reply: Reply) -> None:
        await reply.events()
        if len(fake.requests("GET")) == 1:
            ping = {"jsonrpc": "2.0", "id": "p1", "method": "ping"}
            await reply.event(ping, "g1", "retry: 1\n")
            await reply.end()
            return
        assert request.headers["last-event-id"] == "g1"
        await reply.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}, "g2")
        await reply.hang()

    async def answer(request: Request, reply: Reply) -> None:
        if request.message == {"jsonrpc": "2.0", "id": "p1", "result": {}}:
            answered.set()
        await reply.whole(202)

    fake.handlers |= {"GET": unasked, "POST": answer}
    async with connected(fake, listen=True) as server:
        with anyio.fail_after(PATIENT):
            await answered.wait()
            while not server.tools_changed:
                await anyio.sleep(0.01)
        assert words(await call(server)) == "ok"


async def test_a_server_that_asks_within_a_call_gets_its_answer(fake: Server) -> None:
    answers: list[Any] = []
    answered = anyio.Event()

    async def ask(request: Request, reply: Reply) -> None:
        await reply.events()
        await reply.event({"jsonrpc": "2.0", "id": 7, "method": "roots/list"})
        await answered.wait()
        answer = {"jsonrpc": "2.0", "id": request.message["id"], "result": text("thanks")}
        await reply.event(answer)
        await reply.end()

    async def take(request: Request, reply: Reply) -> None:
        answers.append(request.message)
        answered.set()
        await reply.whole(202)

    fake.handlers |= {"tools/call": ask, "POST": take}
    async with connected(fake) as server:
        assert words(await call(server)) == "thanks"
    assert answers[0]["id"] == 7
    assert "error" in answers[0]
