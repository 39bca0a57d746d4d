"""The tools of counter.py over stdio, by hand: starts in a fraction of the SDK's second."""

import base64
import json
import os
import sys
import time

INTEGER = {"type": "object", "properties": {"by": {"type": "integer"}}}
EMPTY = {"type": "object", "properties": {}}
TAKEN = (
    "increment",
    "reset",
    "hang",
    "refuse",
    "die",
    "pid",
    "nap",
    "freeze",
    "work",
    "big",
)
TOOLS = [
    {"name": name, "description": name, "inputSchema": INTEGER if name == "increment" else EMPTY}
    for name in TAKEN
]
count = 0


def call(name: str, arguments: dict[str, int]) -> dict[str, object] | None:
    global count
    if name == "die":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "hang":
        return None
    if name == "freeze":
        time.sleep(600)
    if name == "nap":
        time.sleep(0.6)
    if name == "refuse":
        return {"content": [{"type": "text", "text": "refused by the server"}], "isError": True}
    if name == "increment":
        count += arguments.get("by", 1)
    if name == "reset":
        count = 0
    text = str({"increment": count, "pid": os.getpid()}.get(name, "ok"))
    return {"content": [{"type": "text", "text": text}]}


def big() -> dict[str, object]:
    """A long text, an image, a resource, and structured content, each of more than 1,000 bytes."""
    blob = base64.b64encode(bytes(range(256)) * 20).decode()
    resource = {"uri": "file:///notes.md", "mimeType": "text/markdown", "text": "# Notes\n" * 400}
    return {
        "content": [
            {"type": "text", "text": "caf\u00e9 " * 400},
            {"type": "text", "text": "short"},
            {"type": "image", "data": blob, "mimeType": "image/png"},
            {"type": "resource", "resource": resource},
        ],
        "structuredContent": {"rows": list(range(1000))},
    }


def work(token: object) -> None:
    """Says ten times how far it is, if anybody wants to hear it."""
    for step in range(10 if token is not None else 0):
        said = {"progressToken": token, "progress": step + 1, "total": 10, "message": "working"}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": said}
        sys.stdout.write(json.dumps(note) + "\n")
        sys.stdout.flush()


def answer(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "lean", "version": "1"},
        }
    if method == "ping" and "--no-ping" in sys.argv:
        return None
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        if params["name"] == "big":
            return big()
        if params["name"] == "work":
            token = (params.get("_meta") or {}).get("progressToken")  # type: ignore[attr-defined]
            work(token)
            return {"content": [{"type": "text", "text": f"token {token is not None}"}]}
        return call(str(params["name"]), params.get("arguments") or {})  # type: ignore[arg-type]
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "server/discover":
        reply["error"] = {"code": -32601, "message": "Method not found"}
    else:
        result = answer(message["method"], message.get("params") or {})
        if result is None:
            continue
        reply["result"] = result
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
