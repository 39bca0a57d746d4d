"""How much CPU does a client spend on a tool call?

    python bench/wire/client_cpu.py [--rounds 3] [--json FILE]

Contenders: this project's `Connection`, and `mcp.Client` of the official SDK, on asyncio with
uvloop and on trio, over stdio and over streamable HTTP answered by JSON and by events, with 1 and
64 calls in flight, and over 128 stdio sessions with one call in flight each. The servers cost next
to nothing (`fast_stdio.py`, `fast_http.py`). Each measurement is a fresh process; contenders take
turns within a round; reported are medians of the client's own CPU time (user and system) for a
call, and of calls a second.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from nexau.transports.connection import HttpTarget, StdioTarget, open_connection

HERE = Path(__file__).parent
CLIENTS = ("nexau", "sdk")
BACKENDS = ("asyncio", "trio")
WIRES = ("stdio", "http-json", "http-sse")
LOADS: list[tuple[int, int]] = [(1, 1), (1, 64)]
"""Sessions, and calls in flight in each."""
MANY = (128, 1)
SECONDS = 1.5
Call = Callable[[int], Awaitable[Any]]
Case = tuple[str, str, int, int]
"""Backend, wire, sessions, calls in flight in each."""


async def open_nexau(stack: AsyncExitStack, wire: str, port: int) -> Call:
    target = (
        StdioTarget(sys.executable, (str(HERE / "fast_stdio.py"),))
        if wire == "stdio"
        else HttpTarget(f"http://127.0.0.1:{port}/mcp")
    )
    connection = await stack.enter_async_context(open_connection(target, name="fast"))

    async def call(number: int) -> None:
        arguments = {"text": f"hello {number}"}
        result = await connection.call("echo", arguments, call_id="c", timeout=60)
        assert not result.is_error, result

    return call


async def open_sdk(stack: AsyncExitStack, wire: str, port: int) -> Call:
    server: Any = (
        StdioServerParameters(command=sys.executable, args=[str(HERE / "fast_stdio.py")])
        if wire == "stdio"
        else f"http://127.0.0.1:{port}/mcp"
    )
    client = await stack.enter_async_context(Client(server))
    await client.list_tools()

    async def call(number: int) -> None:
        arguments = {"text": f"hello {number}"}
        result = await client.call_tool("echo", arguments, read_timeout_seconds=60)
        assert not result.is_error, result

    return call


async def measure(
    client: str, wire: str, port: int, sessions: int, in_flight: int, seconds: float
) -> None:
    async with AsyncExitStack() as stack:
        open_one = open_nexau if client == "nexau" else open_sdk
        calls = [await open_one(stack, wire, port) for _ in range(sessions)]
        done = 0
        until = time.perf_counter() + 0.2

        async def worker(call: Call) -> None:
            nonlocal done
            while time.perf_counter() < until:
                await call(done)
                done += 1

        async def work() -> None:
            async with anyio.create_task_group() as tasks:
                for call in calls * in_flight:
                    tasks.start_soon(worker, call)

        await work()
        done = 0
        started, cpu = time.perf_counter(), time.process_time()
        until = started + seconds
        await work()
        cpu = time.process_time() - cpu
        wall = time.perf_counter() - started
        print(json.dumps({"us": cpu / done * 1e6, "rate": done / wall, "calls": done}))


def one(client: str, case: Case, seconds: float) -> dict[str, float]:
    """A measurement in a process of its own, with a server of its own."""
    backend, wire, sessions, in_flight = case
    server = None
    port = 0
    try:
        if wire != "stdio":
            command = [sys.executable, str(HERE / "fast_http.py"), wire.removeprefix("http-")]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert server.stdout is not None
            port = int(server.stdout.readline())
        numbers = (port, sessions, in_flight, seconds)
        args = [client, backend, wire, *map(str, numbers)]
        command = [sys.executable, str(Path(__file__)), "--one", *args]
        found: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
        return found
    finally:
        if server is not None:
            server.kill()
            server.communicate()


def run_one(args: list[str]) -> None:
    client, backend, wire, port, sessions, in_flight, seconds = args
    anyio.run(
        measure,
        client,
        wire,
        int(port),
        int(sessions),
        int(in_flight),
        float(seconds),
        backend=backend,
        backend_options={"use_uvloop": True} if backend == "asyncio" else {},
    )


def summary(case: Case, samples: list[list[dict[str, float]]]) -> dict[str, Any]:
    """A row: medians for each client, and how many times less CPU ours takes."""
    row: dict[str, Any] = dict(zip(("backend", "wire", "sessions", "in_flight"), case, strict=True))
    for client, taken in zip(CLIENTS, samples, strict=True):
        row[f"{client}_us"] = round(statistics.median(one["us"] for one in taken), 1)
        row[f"{client}_calls_per_s"] = round(statistics.median(one["rate"] for one in taken))
    row["ratio"] = round(row["sdk_us"] / row["nexau_us"], 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=7, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run_one(args.one)
        return
    cases: list[Case] = [
        (backend, wire, sessions, in_flight)
        for backend, wire in itertools.product(BACKENDS, WIRES)
        for sessions, in_flight in ([*LOADS, MANY] if wire == "stdio" else LOADS)
    ]
    found: dict[tuple[Case, str], list[dict[str, float]]] = {}
    for _ in range(args.rounds):
        for case, client in itertools.product(cases, CLIENTS):
            found.setdefault((case, client), []).append(one(client, case, args.seconds))
    rows = [summary(case, [found[case, client] for client in CLIENTS]) for case in cases]
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    if args.json:
        versions = {name: version(name) for name in ("nexau", "mcp", "anyio", "aiohttp", "httpx2")}
        args.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
