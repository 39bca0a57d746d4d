"""An MCP server that costs next to nothing, so that what is measured is its client.

    python lean_server.py --stdio | --http [--latency SECONDS]

One tool, `get_customer`; revisions up to 2025-11-25; session ids over HTTP with `--sessions` only,
which the specification allows. On HTTP it prints a JSON line with its `url`, and ends with its
stdin.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import msgspec
import uvloop

from nexau.transports.guard import Guard

TOOL = {
    "name": "get_customer",
    "description": "All that is known of one customer.",
    "inputSchema": {
        "type": "object",
        "properties": {"customer_id": {"type": "string", "description": "As C-1042"}},
        "required": ["customer_id"],
        "additionalProperties": False,
    },
}
METHOD_NOT_FOUND = -32601
GUARD = Guard.listening("127.0.0.1")
CHUNK = 1 << 18
SESSIONS = False

Send = Callable[[bytes], None]


class Request(msgspec.Struct):
    method: str = ""
    id: int | str | None = None
    params: dict[str, Any] = {}


_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


def answer(request: Request) -> bytes:
    """One JSON-RPC response."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": request.id}
    if request.method == "tools/call":
        customer = request.params["arguments"]["customer_id"]
        found = {"id": customer, "name": "Kemal Costa", "tier": "plus", "orders": 7}
        text = _encode(found).decode()
        body["result"] = {"content": [{"type": "text", "text": text}], "isError": False}
    elif request.method == "initialize":
        body["result"] = {
            "protocolVersion": request.params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "lean", "version": "1"},
        }
    elif request.method == "tools/list":
        body["result"] = {"tools": [TOOL]}
    elif request.method == "ping":
        body["result"] = {}
    else:
        body["error"] = {"code": METHOD_NOT_FOUND, "message": f"no method {request.method}"}
    return _encode(body)


class Server(asyncio.Protocol):
    """Answers what has an id, `latency` seconds late if it is a tool call."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.rest = b""

    def reply(self, request: Request, send: Send) -> None:
        if self.latency and request.method == "tools/call":
            loop = asyncio.get_running_loop()
            loop.call_later(self.latency, send, answer(request))
        else:
            send(answer(request))


class StdioServer(Server):
    """Reads lines; what is answered in one turn of the loop is written at once."""

    def __init__(self, latency: float) -> None:
        super().__init__(latency)
        self.out: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            request = _decode(line)
            if request.id is not None:
                self.reply(request, self.send)

    def send(self, body: bytes) -> None:
        if not self.out:
            asyncio.get_running_loop().call_soon(self.flush)
        self.out.append(body + b"\n")

    def flush(self) -> None:
        data = b"".join(self.out)
        self.out.clear()
        while data:  # stdout blocks, which is what a pipe that nobody reads should do
            data = data[os.write(1, data) :]

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().stop()


class HttpServer(Server):
    """HTTP/1.1 with bodies of a known length, keep-alive; answers in JSON."""

    transport: asyncio.Transport
    opens = False
    """Whether the answer opens a session."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            refusal = GUARD.of_head(self.rest[:end])
            if refusal is not None:
                status = b"HTTP/1.1 %d Refused\r\n" % refusal.status
                self.transport.write(status + b"content-length: 0\r\nconnection: close\r\n\r\n")
                self.transport.close()
                return
            head = self.rest[:end].lower()
            _, found, after = head.partition(b"content-length:")
            length = int(after.split(b"\r\n", 1)[0]) if found else 0
            if len(self.rest) < end + 4 + length:
                return
            body = self.rest[end + 4 : end + 4 + length]
            self.rest = self.rest[end + 4 + length :]
            self.take(head, body)

    def take(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"post"):
            self.transport.write(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            return
        request = _decode(body)
        self.opens = SESSIONS and request.method == "initialize"
        if request.id is None:
            self.transport.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        else:
            self.reply(request, self.send)

    def send(self, body: bytes) -> None:
        session = b"mcp-session-id: %b\r\n" % os.urandom(8).hex().encode() if self.opens else b""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (session, len(body), body)
        )


async def serve_http(latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpServer(latency), "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f'{{"url": "http://127.0.0.1:{port}/mcp"}}\n')
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="An MCP server that costs next to nothing.")
    transport = parser.add_mutually_exclusive_group(required=True)
    transport.add_argument("--stdio", action="store_true")
    transport.add_argument("--http", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each call")
    parser.add_argument("--sessions", action="store_true", help="give out session ids")
    options = parser.parse_args()
    if options.http:
        global SESSIONS
        SESSIONS = options.sessions
        uvloop.run(serve_http(options.latency))
        return
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    pipe = loop.connect_read_pipe(lambda: StdioServer(options.latency), sys.stdin)
    loop.run_until_complete(pipe)
    loop.run_forever()
    loop.close()


if __name__ == "__main__":
    main()
