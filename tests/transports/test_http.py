"""The HTTP seam: the same behaviour over aiohttp and over httpx2."""

import gzip
import subprocess
import sys

import anyio
import pytest

from nexau.transports.http import HttpError, open_http, public_url
from tests.transports.http_serving import Exchange, ok, serving

pytestmark = pytest.mark.anyio


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
