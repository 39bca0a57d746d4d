"""An MCP server over stdio with a state of its own: a ledger that counts. It misbehaves when the
file that CHAOS_FRAMES names says how: garbage, truncated, gigantic.
"""

import json
import os
import sys

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [
    {"name": "append", "description": "append", "inputSchema": SCHEMA},
    {
        "name": "total",
        "description": "total",
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": True},
    },
]
entries: list[str] = []


def misbehave() -> None:
    try:
        # No pathlib here: importing it costs more than all the rest.
        with open(os.environ["CHAOS_FRAMES"], encoding="utf-8") as file:  # noqa: PTH123
            how = file.read()
    except (OSError, KeyError):
        return
    if how == "garbage":
        sys.stdout.write("\x00\xff{]] not json \x1b[31m\n")
    elif how == "truncated":
        sys.stdout.write('{"jsonrpc": "2.0", "id": 1, "resu\n')
    elif how == "gigantic":
        sys.stdout.write('{"jsonrpc": "2.0", "method": "notifications/message", "params": {"x": "'
                         + "a" * 3_000_000 + '"}}\n')  # fmt: skip
    elif how == "hang":
        sys.stdin.readline()


def answer(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "ledger", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        arguments = params.get("arguments") or {}
        if params["name"] == "append":
            entries.append(str(arguments.get("text")))  # type: ignore[attr-defined]
        return {"content": [{"type": "text", "text": f"{len(entries)} entries"}]}
    return {} if method == "ping" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    misbehave()
    reply: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
    result = answer(message["method"], message.get("params") or {})
    if result is None:
        reply["error"] = {"code": -32601, "message": "Method not found"}
    else:
        reply["result"] = result
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
