"""Streamable HTTP: with servers of the official SDK, and with one that breaks what it can."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client.auth import OAuthFlowError

from nexau.transports.authorized import AuthorizedHttp
from nexau.transports.connection import ConnectionFailed, HttpTarget, open_connection
from nexau.transports.http import open_http
from nexau.transports.ports import free_port
from nexau.transports.process import open_process
from nexau.transports.protocol import ErrorClass, Progress
from tests.transports.ports import listening
from tests.transports.servers.fake_http import (
    PATIENT,
    SHORT,
    Handler,
    Reply,
    Request,
    Server,
    call,
    connected,
    serving,
    text,
    words,
)

pytestmark = pytest.mark.anyio


SDK_SERVER = str(Path(__file__).parent / "servers" / "sdk_server.py")


@pytest.fixture
async def fake() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


# The official SDK's server.


@asynccontextmanager
async def sdk_server(*options: str) -> AsyncIterator[HttpTarget]:
    port = free_port()
    args = [SDK_SERVER, "http", str(port), *options]
    async with open_process(sys.executable, args, pipes=False, grace=0.2):
        await listening(port)
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


async def test_a_session_that_cannot_be_ended_does_not_hold_us_up(
    fake: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexau.transports.streamable_http._FAREWELL", 0.1)

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
        await reply.whole(429, headers={"Retry-After": "0"})

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


# Authorization.


class Token(httpx2.Auth):
    """Fetches a token when it is refused."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = "none"

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        request.headers["authorization"] = f"Bearer {self.token}"
        response = yield request
        if response.status_code == 401:
            answer = yield httpx2.Request("GET", self.url)
            self.token = (await answer.aread()).decode()
            if self.token == "never":
                raise OAuthFlowError("no such user")
            request.headers["authorization"] = f"Bearer {self.token}"
            yield request


@pytest.mark.parametrize("token", ["t1", "never"])
async def test_sends_requests_under_an_auth_of_the_sdk(fake: Server, token: str) -> None:
    async def guarded(request: Request, reply: Reply) -> None:
        if request.headers.get("authorization") == "bearer t1":
            fake.handlers = {}
            await fake.respond(request, reply)
            fake.handlers = {"initialize": guarded, "GET": give}
        else:
            await reply.whole(401)

    async def give(_: Request, reply: Reply) -> None:
        await reply.whole(200, token.encode(), "text/plain")

    fake.handlers = {"initialize": guarded, "GET": give}
    async with open_http() as http:
        authorized = AuthorizedHttp(http, Token(fake.url))
        if token == "never":
            with pytest.raises(ConnectionFailed, match="not authorized: no such user"):
                async with connected(fake, http=authorized):
                    pytest.fail("opened")
            return
        async with connected(fake, http=authorized) as server:
            assert words(await call(server)) == "ok"
    assert len(fake.requests("GET")) == 1
    assert fake.requests("tools/call")[0].headers["authorization"] == "bearer t1"
