"""A model over bare sockets: what HTTP costs at least.

Keep-alive connections, one request in flight on each, bodies of a known length. No redirects, no
errors, no timeouts.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from bench.child import Job
from bench.contenders.driving import TOOLS
from bench.work import Say

_encode = msgspec.json.Encoder().encode


class _Function(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: Sequence[_Call] = ()


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Completion).decode
_arguments = msgspec.json.Decoder(dict[str, str]).decode


def said(body: bytes) -> Say:
    """What a completion says."""
    message = _decode(body).choices[0].message
    calls = tuple((c.function.name, _arguments(c.function.arguments)) for c in message.tool_calls)
    return Say(message.content or "", calls)


def request_body(messages: list[dict[str, Any]]) -> bytes:
    return _encode({"model": "fake", "messages": messages, "tools": TOOLS})


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.answer: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        _, _, after = self.buffer[:end].lower().partition(b"content-length:")
        length = int(after.split(b"\r\n", 1)[0])
        if len(self.buffer) >= end + 4 + length:
            body, self.buffer = self.buffer[end + 4 :], b""
            self.answer.set_result(body)


@asynccontextmanager
async def raw_model(job: Job) -> AsyncIterator[Any]:
    """Completes messages; None where the case's model is in-process."""
    if not job.model:
        yield None
        return
    url = urlsplit(f"{job.model}/chat/completions")
    head = (
        f"POST {url.path} HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-type: application/json\r\n"
        "content-length: "
    ).encode()
    loop = asyncio.get_running_loop()
    free: list[_Connection] = []

    async def complete(messages: list[dict[str, Any]]) -> Say:
        if free:
            connection = free.pop()
        else:
            _, connection = await loop.create_connection(_Connection, url.hostname, url.port)
        body = request_body(messages)
        connection.answer = loop.create_future()
        connection.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        answer = await connection.answer
        free.append(connection)
        return said(answer)

    try:
        yield complete
    finally:
        for connection in free:
            connection.transport.close()
