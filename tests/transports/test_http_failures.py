"""What goes wrong over HTTP: every failure is an `HttpError`, every cancellation is clean."""

import traceback

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from nexau.transports.http import HttpError, open_http
from tests.transports.http_serving import Exchange, Handler, hang, ok, serving

pytestmark = pytest.mark.anyio


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


async def test_a_timeout_inside_a_cancel_scope_cancels_nothing_else() -> None:
    async with serving(hang) as server, open_http() as http:
        with anyio.CancelScope() as outer, anyio.fail_after(20):
            for _ in range(3):
                with pytest.raises(HttpError) as caught:
                    async with http.request("GET", server.url, timeout=0.02):
                        pass
                assert caught.value.kind == "timeout"
                await anyio.sleep(0.001)
        assert not outer.cancelled_caught


async def test_a_deadline_outside_is_not_taken_for_the_timeout() -> None:
    async with serving(hang) as server, open_http() as http:
        with anyio.move_on_after(0.02) as outer:
            async with http.request("GET", server.url, timeout=20):
                raise AssertionError("answered")
        assert outer.cancelled_caught
        await anyio.sleep(0.001)


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_cancellation_closes_the_connection_and_nothing_else(timeout: float | None) -> None:
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
                async with http.request("POST", f"{server.url}/hang", timeout=timeout):
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
