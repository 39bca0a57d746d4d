"""`fast_stdio` over streamable HTTP: `fast_http.py json|sse`; prints its port.

Just enough HTTP/1.1 for a client that sends `Content-Length`: a benchmark's, not a server to use.
"""

import asyncio
import re
import sys
from typing import cast

import msgspec
import uvloop
from fast_stdio import Request, answer

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_decoder = msgspec.json.Decoder(Request)


class Connection(asyncio.Protocol):
    events = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        out = []
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            found = LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(self.buffer) < end + 4 + length:
                break
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            out.append(self.respond(head, body))
        if out:
            self.transport.write(b"".join(out))

    def respond(self, head: bytes, body: bytes) -> bytes:
        if not head.startswith(b"POST"):
            return b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"
        found = answer(_decoder.decode(body))
        if found is None:
            return b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
        if not self.events:
            return (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(found), found)
            )
        event = b"event: message\r\ndata: " + found + b"\r\n\r\n"
        return (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
            b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)
        )


async def main() -> None:
    Connection.events = sys.argv[1] == "sse"
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
