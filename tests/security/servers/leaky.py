"""An MCP server that gives away the secret it was started with, in every way it can."""

import json
import os
import sys

SECRET = os.environ["SHOP_TOKEN"]
START = sys.argv[1] if len(sys.argv) > 1 else ""
NAMES = ("result", "structured", "refusal", "fault", "malformed", "dies")
TOOLS = [
    {"name": name, "description": f"{name} {SECRET}", "inputSchema": {"type": "object"}}
    for name in NAMES
]


def say(text: str) -> None:
    os.write(2, f"\x1b[31m{text}\n".encode())


def answer(name: str) -> dict[str, object]:
    text = {"content": [{"type": "text", "text": f"it is {SECRET}\nand \x1b]0;{SECRET}\x07"}]}
    if name == "structured":
        return {"result": text | {"structuredContent": {SECRET: [SECRET, json.dumps(SECRET)]}}}
    if name == "refusal":
        return {"result": text | {"isError": True}}
    if name == "fault":
        return {"error": {"code": -1, "message": f"no: {SECRET}", "data": SECRET}}
    if name == "malformed":
        return {"result": {"content": f"{SECRET}"}}
    if name == "dies":
        say(f"Traceback: {SECRET}")
        os._exit(1)
    return {"result": text}


def main() -> None:
    say(f"starting with {SECRET}")
    if START == "fails":
        sys.exit(f"cannot log in as {SECRET}")
    if START == "noise":
        os.write(1, f"Welcome {SECRET}\n".encode())
        sys.exit(3)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        match message["method"]:
            case "initialize":
                info = {"name": "leaky", "version": SECRET}
                body = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
                reply: dict[str, object] = {"result": body | {"serverInfo": info}}
            case "tools/list":
                reply = {"result": {"tools": TOOLS}}
            case "tools/call":
                reply = answer(message["params"]["name"])
            case _:
                reply = {"error": {"code": -32601, "message": SECRET}}
        line = json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply})
        os.write(1, line.encode() + b"\n")


main()
