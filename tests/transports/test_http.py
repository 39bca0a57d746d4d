"""The HTTP seam: the same behaviour over aiohttp and over httpx2."""

import gzip
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from nexau.transports.http import HttpError, open_http, public_url

pytestmark = pytest.mark.anyio


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


async def test_status_headers_and_body() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(b"no", 404, "X-One: 1\r\nx-one: 2\r\nContent-Type: text/plain\r\n")

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", f"{server.url}/a?b=c") as response:
            assert response.status == 404
            assert response.headers["x-one"] == "1, 2"
            assert response.headers["content-type"] == "text/plain"
            assert await response.read() == b"no"
        assert server.requests[0].line == "GET /a?b=c HTTP/1.1"
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_a_body_arrives_whole(size: int) -> None:
    async with serving(ok) as server, open_http() as http:
        headers = {"Content-Type": "application/json", "x-key": "v"}
        async with http.request("POST", server.url, headers=headers, body=b"z" * size) as response:
            assert await response.read() == b"ok"
        seen = server.requests[0]
        assert seen.body == b"z" * size
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["content-length"] == str(size)
        assert seen.headers["x-key"] == "v"


async def test_chunks_arrive_as_they_are_sent() -> None:
    got = anyio.Event()

    async def handler(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        await exchange.stream.send(head + b"3\r\none\r\n")
        await got.wait()
        await exchange.stream.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", server.url) as response:
            chunks = response.chunks()
            assert await anext(chunks) == b"one"
            got.set()
            assert [chunk async for chunk in chunks] == [b"two"]
        async with http.request("GET", server.url) as response:
            assert await response.read() == b"onetwo"
        assert server.connections == 1


async def test_an_unread_body_closes_its_connection() -> None:
    async def handler(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        await exchange.stream.send(head + b"3\r\none\r\n")

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", server.url):
            pass
        await server.closed.wait()
        async with http.request("GET", server.url) as response:
            assert await anext(response.chunks()) == b"one"
        assert server.connections == 2


async def test_connections_are_reused_and_bounded() -> None:
    async with serving(ok) as server, open_http(limit=2) as http:

        async def fetch() -> None:
            async with http.request("GET", server.url) as response:
                assert await response.read() == b"ok"

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(fetch)
        assert len(server.requests) == 20
        assert server.connections <= 2


async def test_a_compressed_body_is_decoded() -> None:
    async def handler(exchange: Exchange) -> None:
        assert "gzip" in exchange.headers["accept-encoding"]
        await exchange.reply(gzip.compress(b"plain"), headers="content-encoding: gzip\r\n")

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", server.url) as response:
            assert await response.read() == b"plain"


async def test_no_cookies_are_kept() -> None:
    async def handler(exchange: Exchange) -> None:
        assert "cookie" not in exchange.headers
        await exchange.reply(headers="set-cookie: a=b\r\n")

    async with serving(handler) as server, open_http() as http:
        for _ in range(2):
            async with http.request("GET", server.url) as response:
                assert response.status == 200


async def test_userinfo_becomes_a_header() -> None:
    async with serving(ok) as server, open_http() as http:
        url = f"http://us%40er:pass@127.0.0.1:{server.port}/"
        for headers in ({}, {"Authorization": "Bearer mine"}):
            async with http.request("GET", url, headers=headers) as response:
                assert response.status == 200
        first, second = server.requests
        assert first.headers["authorization"] == "Basic dXNAZXI6cGFzcw=="
        assert second.headers["authorization"] == "Bearer mine"


async def test_redirects_within_the_origin_keep_method_and_body() -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/old":
            await exchange.reply(status=307, headers="location: /new\r\n")
        else:
            await exchange.reply(exchange.body)

    async with serving(handler) as server, open_http() as http:
        async with http.request("POST", f"{server.url}/old", body=b"kept") as response:
            assert response.status == 200
            assert await response.read() == b"kept"


@pytest.mark.parametrize(("status", "location"), [(302, "/new"), (307, "http://127.0.0.1:1/new")])
async def test_other_redirects_are_answers(status: int, location: str) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(status=status, headers=f"location: {location}\r\n")

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", server.url) as response:
            assert response.status == status


async def test_a_circle_of_redirects_ends() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(status=308, headers="location: /again\r\n")

    async with serving(handler) as server, open_http() as http:
        with pytest.raises(HttpError, match="redirects"):
            async with http.request("GET", server.url):
                pass
        assert len(server.requests) == 6


async def cut(exchange: Exchange) -> None:
    await exchange.stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
    raise anyio.EndOfStream


async def silent(exchange: Exchange) -> None:
    raise anyio.EndOfStream


async def babble(exchange: Exchange) -> None:
    await exchange.stream.send(b"hello, this is not HTTP\r\n\r\n")
    raise anyio.EndOfStream


async def not_gzip(exchange: Exchange) -> None:
    await exchange.reply(b"not gzip at all", headers="content-encoding: gzip\r\n")


@pytest.mark.parametrize(
    ("handler", "kind"),
    [(cut, "closed"), (silent, "closed"), (babble, "protocol"), (not_gzip, "closed"),
     (hang, "timeout")],
)  # fmt: skip
async def test_a_server_that_misbehaves(handler: Handler, kind: str) -> None:
    async with serving(handler) as server, open_http() as http:
        url = f"http://user:canary@127.0.0.1:{server.port}/path?key=canary"
        timeout = 0.05 if kind == "timeout" else 20
        with pytest.raises(HttpError) as caught:
            async with http.request(
                "POST", url, headers={"x-key": "canary"}, body=b"{}", timeout=timeout
            ) as response:
                await response.read()
        assert caught.value.kind == kind
        assert f"http://127.0.0.1:{server.port}/path" in str(caught.value)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        # The client is as good as new.
        with pytest.raises(HttpError):
            async with http.request("GET", "http://127.0.0.1:1/"):
                pass


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:1/", "connect"),
        ("http://name.invalid/", "connect"),
        ("ftp://127.0.0.1/", "url"),
        ("http://[::1", "url"),
        ("http://127.0.0.1:99999/", "url"),
        ("/relative", "url"),
    ],
)
async def test_a_request_that_cannot_be_made(url: str, kind: str) -> None:
    async with open_http() as http:
        with pytest.raises(HttpError) as caught:
            async with http.request("GET", url, timeout=20):
                pass
    assert caught.value.kind == kind
    assert caught.value.__context__ is None or kind == "url"


@pytest.mark.parametrize("value", ["canary\r\nx: y", "canary\0"])
async def test_an_illegal_header_is_refused_and_not_shown(value: str) -> None:
    async with serving(ok) as server, open_http() as http:
        with pytest.raises(HttpError) as caught:
            async with http.request("GET", server.url, headers={"authorization": value}):
                pass
        assert caught.value.kind == "protocol"
        assert caught.value.__context__ is None
        assert "canary" not in repr(caught.value)
        assert server.requests == []


async def test_the_timeout_counts_from_the_first_byte_to_the_last() -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            await exchange.stream.send(b"x")
            await anyio.sleep(0.005)

    async with serving(drip) as server, open_http() as http:
        with pytest.raises(HttpError) as caught:
            async with http.request("GET", server.url, timeout=0.1) as response:
                async for _ in response.chunks():
                    pass
        assert caught.value.kind == "timeout"


async def test_cancellation_closes_the_connection_and_nothing_else() -> None:
    reached = anyio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/ok":
            await exchange.reply(b"ok")
            return
        reached.set()
        await exchange.stream.receive()

    async with serving(handler) as server, open_http() as http:
        async with anyio.create_task_group() as group:

            async def wait_for_ever() -> None:
                async with http.request("POST", f"{server.url}/hang", body=b"x"):
                    raise AssertionError("answered")

            group.start_soon(wait_for_ever)
            await reached.wait()
            group.cancel_scope.cancel()
        await server.closed.wait()
        async with http.request("GET", f"{server.url}/ok") as response:
            assert await response.read() == b"ok"


async def test_a_cancelled_tls_handshake_closes_the_connection() -> None:
    connected, ended = anyio.Event(), anyio.Event()

    async def accept(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            connected.set()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await stream.receive()
            ended.set()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
        open_http() as http,
    ):
        group.start_soon(listener.serve, accept)
        port = listener.extra(SocketAttribute.local_port)

        async def wait_for_ever() -> None:
            async with http.request("GET", f"https://127.0.0.1:{port}/"):
                raise AssertionError("answered")

        async with anyio.create_task_group() as inner:
            inner.start_soon(wait_for_ever)
            await connected.wait()
            inner.cancel_scope.cancel()
        await ended.wait()
        group.cancel_scope.cancel()


async def test_a_server_that_speaks_no_tls() -> None:
    async def babbling(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
        open_http() as http,
    ):
        group.start_soon(listener.serve, babbling)
        port = listener.extra(SocketAttribute.local_port)
        with pytest.raises(HttpError) as caught:
            async with http.request("GET", f"https://127.0.0.1:{port}/", timeout=20):
                pass
        assert caught.value.kind == "tls"
        group.cancel_scope.cancel()


async def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok) as server, serving(ok) as proxy:
        monkeypatch.setenv("http_proxy", f"http://pro:xy@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "direct.invalid")
        async with open_http() as http:
            async with http.request("GET", server.url) as response:
                assert await response.read() == b"ok"
            assert proxy.requests == []
            async with http.request("GET", "http://name.invalid/x") as response:
                assert await response.read() == b"ok"
            assert proxy.requests[0].line == "GET http://name.invalid/x HTTP/1.1"
            assert proxy.requests[0].headers["proxy-authorization"] == "Basic cHJvOnh5"
            with pytest.raises(HttpError):
                async with http.request("GET", "http://direct.invalid/"):
                    pass
            assert len(proxy.requests) == 1


def test_importing_the_seam_loads_no_library() -> None:
    code = (
        "import sys, nexau.transports.http; print({'aiohttp', 'httpx2', 'trio'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h.example:8/a/b?key=1#f", "https://h.example:8/a/b"),
        ("http://[::1]:9/x?y", "http://[::1]:9/x"),
        ("http://h/", "http://h/"),
        ("http://h:bad/?key=1", "not a URL"),
    ],
)
def test_a_url_for_logs(url: str, shown: str) -> None:
    assert public_url(url) == shown
