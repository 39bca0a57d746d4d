"""What does a call of a served world cost its server, and how much of that is the world's part?

python -m bench.served
python -m bench.served --transport http --rounds 40

A world is served over stdio and over streamable HTTP, in a process of its own on the official SDK,
and called with so many calls in flight. Told is CPU time of the server's process for one call, all
threads counted, as the server itself reads it, in the round in which that was least; and of it the
world's own part: arguments checked, rows read and written, rules, the result as JSON. That part is
taken inside the server, by the clock of the thread that does it. The rest is the SDK and the
transport.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import uvloop
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server

from bench.servers import START_SECONDS
from nexau.cli.serving import find_server, open_session
from nexau.synth.worlds import engine, serve as world_serve
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
T = TypeVar("T")


class Meter:
    """Counts the world's own part, and has a tool that tells what was spent."""

    def __init__(self) -> None:
        self.own = 0.0
        engine.call = self._around(engine.call)
        world_serve._tool_result = self._around(world_serve._tool_result)

    def _around(self, function: Callable[..., T]) -> Callable[..., T]:
        def measured(*arguments: Any, **named: Any) -> T:
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.own += time.thread_time() - began

        return measured

    def listed(self, what: str) -> list[dict[str, Any]]:
        return [{"name": SPENT, "inputSchema": {"type": "object"}}] if what == "tools" else []

    async def answer(self, _: Context, method: str, params: Any) -> HandlerResult | None:
        if method != "tools/call" or params.name != SPENT:
            return None
        text = json.dumps([time.process_time(), self.own])
        return {"content": [{"type": "text", "text": text}], "isError": False,
                "resultType": "complete"}  # fmt: skip

    def install(self, server: Server[Any]) -> None:
        pass


def serve(port: int | None) -> None:
    """As `nexau world serve --no-latency` does, with a meter."""
    template = Template(load_world(WORLD))
    options: dict[str, Any] = {"latency": False, "overlay": Meter()}
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


async def spent(to: Connection) -> tuple[float, float]:
    """Seconds of CPU: of the process, and of the world's own part."""
    answer = await to.call(SPENT, {}, call_id="spent", timeout=START_SECONDS)
    whole, own = json.loads(answer.content[0].text)  # type: ignore[union-attr]
    return whole, own


async def cost(to: Connection, tool: str, calls: int, in_flight: int) -> tuple[float, float]:
    """As `spent`, for one call."""
    left = iter(range(calls))

    async def caller() -> None:
        for number in left:
            answer = await to.call(tool, TOOLS[tool], call_id=str(number), timeout=START_SECONDS)
            if answer.is_error:
                raise SystemExit(f"{tool}: {answer.content}")

    before = await spent(to)
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(caller)
    after = await spent(to)
    return (after[0] - before[0]) / calls, (after[1] - before[1]) / calls


async def measure(transport: str, calls: int, rounds: int, in_flight: int) -> None:
    async with session(transport) as opened:
        for tool in TOOLS:
            best = (math.inf, 0.0)
            for _ in range(rounds):
                best = min(best, await cost(opened, tool, calls, in_flight))
                await opened.call("world_reset", {}, call_id="reset", timeout=START_SECONDS)
            whole, own = best
            print(
                json.dumps({"transport": transport, "tool": tool, "us": round(whole * 1e6),
                            "own_us": round(own * 1e6), "own_share": round(own / whole, 2)}),
                flush=True,
            )  # fmt: skip


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
