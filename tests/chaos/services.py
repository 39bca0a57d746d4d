"""The model endpoint and the MCP server over HTTP of a trial: real HTTP, in processes of their own.

What they answer follows from what they are asked, so a conversation comes out the same however
often it was cut off.
"""

import json
import os
import random
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TURNS = 4
"""Of a conversation, at most."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break off here all the time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        """Says nothing."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _answer(self, value: Any, status: int = 200) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Model(_Handler):
    log = -1

    def do_POST(self) -> None:
        request = self._body()
        messages = request["messages"]
        task = next(each["content"] for each in messages if each["role"] == "user")
        turn = sum(each["role"] == "assistant" for each in messages)
        time.sleep(random.random() * 0.03)
        message = {"role": "assistant", **say(task, turn)}
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        os.write(self.log, f"{task}\t{turn}\n".encode())
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        self._answer(
            {
                "id": "x",
                "object": "chat.completion",
                "model": "chaos",
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": usage,
            }
        )


def say(task: str, turn: int) -> dict[str, Any]:
    """What the model answers."""
    chance = random.Random(f"{task}/{turn}")
    helper = task.startswith("help")
    if turn >= (2 if helper else TURNS) or (turn and chance.random() < 0.1):
        return {"content": f"done with {task}"}
    calls: list[dict[str, Any]] = []
    for index in range(chance.randint(1, 2)):
        kind = chance.choice(["append", "append", "lookup"] + ["helper"] * (not helper))
        text = f"{task}:{turn}:{index}"
        arguments = {"task": f"help {text}"} if kind == "helper" else {"text": text}
        function = {"name": kind, "arguments": json.dumps(arguments)}
        calls.append({"id": f"call_{index}", "type": "function", "function": function})
    return {"content": "", "tool_calls": calls}


class Lookup(_Handler):
    """Streamable HTTP without state: one tool."""

    def do_POST(self) -> None:
        message = self._body()
        if "id" not in message:
            self._answer(None, 202)
            return
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        method, params = message["method"], message.get("params") or {}
        if method == "initialize":
            reply["result"] = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "lookup", "version": "1"},
            }
        elif method == "tools/list":
            reply["result"] = {"tools": [tool("lookup", read=True)]}
        elif method == "tools/call":
            time.sleep(random.random() * 0.02)
            text = f"found {params['arguments']['text']}"
            reply["result"] = {"content": [{"type": "text", "text": text}]}
        elif method == "ping":
            reply["result"] = {}
        else:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        self._answer(reply)

    def do_GET(self) -> None:
        self._answer(None, 405)

    def do_DELETE(self) -> None:
        self._answer(None, 405)


def tool(name: str, *, read: bool) -> dict[str, Any]:
    """As `tools/list` tells of it."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    hints = {"readOnlyHint": read}
    return {"name": name, "description": name, "inputSchema": schema, "annotations": hints}


def serve(order: dict[str, Any]) -> None:
    """Until killed."""
    handler = Model if order["service"] == "model" else Lookup
    if order["service"] == "model":
        Model.log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = _Server(("127.0.0.1", order["port"]), handler)
    server.serve_forever(poll_interval=1.0)
