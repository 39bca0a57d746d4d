"""An MCP server over stdio that costs next to nothing, so that a client's own cost shows.

Revision 2025-11-25; one tool, `echo`, whose answer is always the same. One write for each read.
"""

import os

import msgspec


class Request(msgspec.Struct):
    method: str
    id: int | str | None = None


ANSWERS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "fast", "version": "1"},
    },
    "ping": {},
    "tools/list": {
        "tools": [
            {
                "name": "echo",
                "description": "Say it again.",
                "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
            }
        ]
    },
    "tools/call": {"content": [{"type": "text", "text": "hello"}], "isError": False},
}
RESULTS = {method: msgspec.json.encode(answer) for method, answer in ANSWERS.items()}
UNKNOWN = b'{"code":-32601,"message":"Method not found"}'

_decoder = msgspec.json.Decoder(Request)


def answer(request: Request) -> bytes | None:
    """The JSON-RPC answer; None to a notification."""
    if request.id is None:
        return None
    request_id = msgspec.json.encode(request.id)
    result = RESULTS.get(request.method)
    if result is None:
        return b'{"jsonrpc":"2.0","id":' + request_id + b',"error":' + UNKNOWN + b"}"
    return b'{"jsonrpc":"2.0","id":' + request_id + b',"result":' + result + b"}"


def main() -> None:
    rest = b""
    while data := os.read(0, 262_144):
        *lines, rest = (rest + data).split(b"\n")
        answers = [answer(_decoder.decode(line)) for line in lines if line]
        out = b"".join(found + b"\n" for found in answers if found is not None)
        while out:
            out = out[os.write(1, out) :]


if __name__ == "__main__":
    main()
