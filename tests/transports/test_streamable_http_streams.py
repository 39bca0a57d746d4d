"""Streamable HTTP: streams of events, and calls that are given up."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

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


@pytest.fixture
async def fake() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


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
