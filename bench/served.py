"""What does a call of a served world cost its server, and how much of that is the world's part?

python -m bench.served
python -m bench.served --transport http --rounds 40

A world is served over stdio and over streamable HTTP, in a process of its own on the official SDK,
and called with so many calls in flight. Beside each tool the server has one that gives the same
result from memory: what a call of it costs is the SDK and the transport, and what the tool costs
more is the world's own part, arguments checked, rows read and written, rules, the result as JSON.
The two are called in turns, so that whatever else the machine does meets both. Told is CPU time of
the server's process for one call, all threads counted, as the server itself reads it: medians of
the rounds.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import uvloop
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server

from bench.servers import START_SECONDS
from nexau.cli.serving import find_server, open_session
from nexau.synth.worlds import engine
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.serve import Context, http_app, serve_http, serve_stdio
from nexau.synth.worlds.state import Template
from nexau.transports.connection import Connection
from nexau.transports.guard import Guard
from nexau.tuning import tune_gc

WORLD = Path(__file__).resolve().parent.parent / "examples/worlds/retail-returns.yaml"
TOOLS: dict[str, dict[str, Any]] = {
    "get_customer": {"customer_id": "C-1001"},
    "get_order": {"order_id": "O-20003"},
    "update_address": {"customer_id": "C-1001", "street": "1 Main St", "city": "Bern",
                       "postcode": "3000"},
    "open_ticket": {"customer_id": "C-1001", "subject": "a question"},
}  # fmt: skip
"""Two that read and two that write."""
SPENT = "spent"
_ANY = {"type": "object"}


class Beside:
    """Tools that give what the world's gave once, and one that tells the CPU spent."""

    def __init__(self, template: Template) -> None:
        state = template.state()
        self._said: dict[str, dict[str, Any]] = {}
        for name, arguments in TOOLS.items():
            body = engine.call(state, name, arguments).body
            self._said[f"{name}_said"] = _result(body)
        state.close()

    def listed(self, what: str) -> list[dict[str, Any]]:
        if what != "tools":
            return []
        return [{"name": name, "inputSchema": _ANY} for name in (*self._said, SPENT)]

    async def answer(self, _: Context, method: str, params: Any) -> HandlerResult | None:
        if method != "tools/call":
            return None
        if params.name == SPENT:
            return _result({"seconds": time.process_time()})
        return self._said.get(params.name)

    def install(self, server: Server[Any]) -> None:
        pass


def _result(body: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    return {"content": [{"type": "text", "text": text}], "structuredContent": dict(body),
            "isError": False, "resultType": "complete"}  # fmt: skip


def serve(port: int | None) -> None:
    """As `nexau world serve --no-latency` does, with the tools of `Beside`."""
    template = Template(load_world(WORLD))
    options: dict[str, Any] = {"latency": False, "overlay": Beside(template)}
    tune_gc()
    if port is None:
        uvloop.run(serve_stdio(template, **options))
        return
    app = http_app(template, host="127.0.0.1", **options)
    serve_http(app, Guard.listening("127.0.0.1"), host="127.0.0.1", port=port)


@asynccontextmanager
async def session(transport: str) -> AsyncIterator[Connection]:
    """With a server of its own, until the block ends."""
    command = [sys.executable, "-m", "bench.served", "--serve"]
    if transport == "stdio":
        async with open_session(find_server(None, command, START_SECONDS)) as opened:
            yield opened
        return
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as probe:
        port = probe.extra(anyio.abc.SocketAttribute.local_port)
    process = await asyncio.create_subprocess_exec(*command, "--port", str(port))
    try:
        await _listening(port)
        url = f"http://127.0.0.1:{port}/mcp"
        async with open_session(find_server(url, None, START_SECONDS)) as opened:
            yield opened
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    with anyio.fail_after(START_SECONDS):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            except OSError:
                await anyio.sleep(0.05)
            else:
                return


async def spent(to: Connection) -> float:
    answer = await to.call(SPENT, {}, call_id="spent", timeout=START_SECONDS)
    return float(json.loads(answer.content[0].text)["seconds"])  # type: ignore[union-attr]


async def cost(to: Connection, tool: str, arguments: Any, calls: int, in_flight: int) -> float:
    """Seconds of the server's CPU for one call."""
    left = iter(range(calls))

    async def caller() -> None:
        for number in left:
            answer = await to.call(tool, arguments, call_id=str(number), timeout=START_SECONDS)
            if answer.is_error:
                raise SystemExit(f"{tool}: {answer.content}")

    before = await spent(to)
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(caller)
    return (await spent(to) - before) / calls


async def measure(transport: str, calls: int, rounds: int, in_flight: int) -> None:
    async with session(transport) as opened:
        for tool, arguments in TOOLS.items():
            whole: list[float] = []
            bare: list[float] = []
            for _ in range(rounds):
                bare.append(await cost(opened, f"{tool}_said", arguments, calls, in_flight))
                whole.append(await cost(opened, tool, arguments, calls, in_flight))
                await opened.call("world_reset", {}, call_id="reset", timeout=START_SECONDS)
            total, sdk = min(whole), min(bare)
            figures = {"us": round(total * 1e6), "sdk_us": round(sdk * 1e6),
                       "own_us": round((total - sdk) * 1e6),
                       "own_share": round(1 - sdk / total, 2)}  # fmt: skip
            print(json.dumps({"transport": transport, "tool": tool, **figures}), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--transport", choices=("stdio", "http"), action="append")
    parser.add_argument("--calls", type=int, default=500, help="in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--in-flight", type=int, default=64)
    options = parser.parse_args(argv)
    if options.serve:
        serve(options.port)
        return
    for transport in options.transport or ("stdio", "http"):
        uvloop.run(measure(transport, options.calls, options.rounds, options.in_flight))


if __name__ == "__main__":
    main()
