"""Keep-alive connections: what ends an answer, what may follow it, and what ends a connection."""

import datetime
import gzip
import ipaddress
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import AnyByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener, TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings, strategies as st

from nexau.transports import _http_asyncio, _http_httpx2, _http_pool
from nexau.transports._http_connection import Connection
from nexau.transports.http import HttpClient, HttpError, open_http
from tests.transports.http_serving import Exchange, hang, ok, serving

pytestmark = pytest.mark.anyio

OURS = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": True}), ("asyncio", {"use_uvloop": False}), ("trio", {})],
    ids=["asyncio+uvloop", "asyncio", "trio"],
)
"""Every event loop."""


async def fetch(http: HttpClient, url: str, method: str = "GET", **fields: Any) -> bytes:
    async with http.request(method, url, **fields) as response:
        return await response.read()


def plays(data: bytes, *, close: bool = False) -> Any:
    async def handler(exchange: Exchange) -> None:
        await exchange.stream.send(data)
        if close:
            raise anyio.EndOfStream

    return handler


@pytest.mark.parametrize(
    ("answer", "close", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nbody", True, 2),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody", False, 2),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody", False, 2),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", False, 1),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
          b"2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nx-trailer: 1\r\n\r\n"), False, 1),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
          b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"), False, 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, 1),
    ],
)  # fmt: skip
async def test_what_ends_an_answer(answer: bytes, close: bool, connections: int) -> None:
    body = b"" if b"204" in answer else b"body"
    async with serving(plays(answer, close=close)) as server, open_http() as http:
        assert await fetch(http, server.url) == body
        assert await fetch(http, server.url) == body
        assert server.connections == connections


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.booleans())
@settings(max_examples=60)
def test_answers_split_anywhere(sizes: list[int], compressed: bool) -> None:
    body = b"the body of an answer" * 20
    coding = b"content-encoding: gzip\r\n" if compressed else b""
    sent = gzip.compress(body) if compressed else body
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\n" + coding
        + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent)
    )  # fmt: skip

    class Transport:
        def write(self, data: bytes) -> None:
            pass

        def is_closing(self) -> bool:
            return False

        def get_write_buffer_size(self) -> int:
            return 0

    loop: Any = None
    transport: Any = Transport()
    connection = Connection(loop, lambda _: None)
    connection.connection_made(transport)
    for _ in range(2):
        connection.send(b"", None, None)
        at = 0
        for size in [*sizes, len(answer)]:
            assert connection.complete == (at >= len(answer))
            if piece := answer[at : at + size]:
                connection.data_received(piece)
            at += size
        assert (connection.status, connection.headers["x-a"]) == (200, "1, 2")
        assert b"".join(vars(connection)["_body"]) == body
        assert connection.reusable


@pytest.mark.parametrize(
    ("coding", "sent", "expected"),
    [
        ("gzip", gzip.compress(b"one") + gzip.compress(b"two"), b"onetwo"),
        ("gzip", gzip.compress(b"z" * 5_000_000), b"z" * 5_000_000),
        ("deflate", zlib.compress(b"plain"), b"plain"),
        ("identity", b"plain", b"plain"),
        ("gzip", b"", b""),
    ],
    ids=["two members", "long", "deflate", "identity", "empty"],
)
@OURS
async def test_compressed_bodies(coding: str, sent: bytes, expected: bytes) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(sent, headers=f"content-encoding: {coding}\r\n")

    async with serving(handler) as server, open_http() as http:
        assert await fetch(http, server.url) == expected


@OURS
async def test_a_compressed_body_that_is_cut_short() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(gzip.compress(b"p" * 99)[:-9], headers="content-encoding: gzip\r\n")

    async with serving(handler) as server, open_http() as http:
        with pytest.raises(HttpError) as caught:
            await fetch(http, server.url)
        assert caught.value.kind == "closed"


async def test_headers_without_end() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.stream.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await exchange.stream.send(b"x-more: " + b"x" * 1000 + b"\r\n")

    async with serving(handler) as server, open_http() as http:
        with pytest.raises(HttpError) as caught:
            await fetch(http, server.url)
        assert caught.value.kind == "protocol"


@OURS
@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", b"junk"])
async def test_what_nobody_asked_for_ends_the_connection(more: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async with serving(plays(answer + more)) as server, open_http() as http:
        assert await fetch(http, server.url) == b"ok"
        assert await fetch(http, server.url) == b"ok"
        assert server.connections == 2


async def test_a_connection_that_the_server_closed_is_not_used() -> None:
    async with open_http() as http:
        answer = plays(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", close=True)
        async with serving(answer) as server:
            for _ in range(3):
                assert await fetch(http, server.url, "POST", body=b"{}") == b"ok"
                await server.closed.wait()
                await anyio.wait_all_tasks_blocked()
            assert server.connections == 3


@OURS
async def test_only_what_changes_nothing_is_sent_again() -> None:
    async def handler(exchange: Exchange) -> None:
        if len(server.requests) == 2:  # the second on its connection
            raise anyio.EndOfStream
        await exchange.reply(b"ok")

    for method in ("GET", "POST"):
        async with serving(handler) as server, open_http() as http:
            assert await fetch(http, server.url) == b"ok"
            if method == "GET":
                assert await fetch(http, server.url) == b"ok"
                assert (len(server.requests), server.connections) == (3, 2)
            else:
                with pytest.raises(HttpError) as caught:
                    await fetch(http, server.url, "POST", body=b"{}")
                assert caught.value.kind == "closed"
                assert len(server.requests) == 2


@OURS
async def test_a_slow_reader_slows_the_server() -> None:
    total, sent = 48 << 20, 0

    async def handler(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            await exchange.stream.send(b"x" * 65_536)
            sent += 65_536

    async with serving(handler) as server, open_http() as http:
        async with http.request("GET", server.url) as response:
            chunks = response.chunks()
            got = len(await anext(chunks))
            await anyio.wait_all_tasks_blocked()
            assert sent < total
            got += sum([len(chunk) async for chunk in chunks])
        assert got == total


@OURS
async def test_an_answer_may_come_before_the_request_is_whole() -> None:
    """A server that refuses a large request does not read it to its end."""

    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive(100)
            await stream.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            await refused.wait()

    refused = anyio.Event()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        async with anyio.create_task_group() as group, open_http() as http:
            group.start_soon(listener.serve, answer)
            url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
            async with http.request("POST", url, body=b"x" * (32 << 20), timeout=20) as response:
                assert response.status == 413
                assert await response.read() == b"no"
            refused.set()
            group.cancel_scope.cancel()


@OURS
async def test_closing_the_client_ends_what_is_under_way() -> None:
    failures: list[str] = []

    async def wait(http: HttpClient, url: str) -> None:
        with pytest.raises(HttpError) as caught:
            await fetch(http, url)
        failures.append(caught.value.kind)

    async with serving(hang) as server, anyio.create_task_group() as group:
        async with open_http() as http:
            for _ in range(3):
                group.start_soon(wait, http, server.url)
            while len(server.requests) < 3:
                await anyio.sleep(0.01)
        await server.closed.wait()
    assert failures == ["closed"] * 3


@OURS
async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_pool, "KEEPALIVE", 0.01)
    async with serving(ok) as server, open_http() as http:
        assert await fetch(http, server.url) == b"ok"
        await server.closed.wait()
        assert await fetch(http, server.url) == b"ok"
        assert server.connections == 2


async def test_the_limit_counts_all_origins() -> None:
    async with serving(ok) as one, serving(ok) as two, open_http(limit=1) as http:
        for server in (one, two, one, two):
            assert await fetch(http, server.url, timeout=20) == b"ok"


async def test_the_timeout_counts_the_wait_for_a_connection() -> None:
    async with serving(hang) as server, open_http(limit=1) as http:
        async with anyio.create_task_group() as group:

            async def hold() -> None:
                async with http.request("GET", server.url):
                    raise AssertionError("answered")

            group.start_soon(hold)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(HttpError) as caught:
                await fetch(http, server.url, timeout=0.05)
            assert caught.value.kind == "timeout"
            group.cancel_scope.cancel()


async def test_leaving_closes_every_connection() -> None:
    async with serving(ok) as server:
        async with open_http() as http:
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(fetch, http, server.url)
        await server.closed.wait()


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[tuple[Path, ssl.SSLContext]]:
    """A certificate for the loopback address, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - day).not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, private)
    caches = (_http_asyncio.tls_context, _http_httpx2._tls)
    for cache in caches:
        cache.cache_clear()
    yield file, context
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls(
    certificate: tuple[Path, ssl.SSLContext], trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    connections = 0

    async def serve(stream: TLSStream) -> None:
        nonlocal connections
        connections += 1
        async with stream:
            try:
                while True:
                    await stream.receive()
                    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async def failed(error: BaseException, stream: AnyByteStream) -> None:
        await stream.aclose()
        assert not trusted, error

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(plain, context, standard_compatible=False)
    monkeypatch.setattr(TLSListener, "handle_handshake_error", staticmethod(failed))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        url = f"https://127.0.0.1:{plain.extra(SocketAttribute.local_port)}/"
        async with open_http() as http:
            if trusted:
                assert [await fetch(http, url) for _ in range(3)] == [b"ok"] * 3
                assert connections == 1
            else:
                with pytest.raises(HttpError, match="the certificate is not trusted") as caught:
                    await fetch(http, url)
                assert caught.value.kind == "tls"
        group.cancel_scope.cancel()
