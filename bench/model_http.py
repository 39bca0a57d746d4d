"""What does a model over HTTP cost the client? CPU milliseconds for a conversation of five turns.

    python -m bench.model_http --concurrency 64,1024

Contenders against the same server process: the HTTP seam alone, sending prepared bodies; the same
over a library (aiohttp, or httpx2 on trio); `OpenAIChat`, which encodes prompts and decodes turns.
Then whole rollouts of five turns and four tool calls, with a model in the process and with one over
HTTP, so that the difference is what the model's wire costs a rollout. JSON on stdout.
"""

import argparse
import gc
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import anyio

import nexau
from nexau.definitions.values import OpenAIModel
from nexau.models.base import (
    AssistantMessage,
    Message,
    Model,
    ModelRequest,
    SystemMessage,
    ToolCall,
    ToolMessage,
    Turn,
    UserMessage,
)
from nexau.models.openai import OpenAIChat
from nexau.models.openai_prompt import encode_messages, encode_tools
from nexau.testing import FunctionPolicy, calls
from nexau.transports._http_aiohttp import open_client as open_aiohttp
from nexau.transports._http_httpx2 import open_client as open_httpx2
from nexau.transports.http import HttpClient, open_http
from nexau.transports.protocol import Text, ToolSpec

TURNS = 5
TOOLS = (
    ToolSpec(
        "lookup",
        "Looks a key up.",
        {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
    ),
)
ROOT = Path(__file__).parents[1]

Conversation = Callable[[], Awaitable[None]]


class FakeModel:
    """What a running server has said."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.end: dict[str, float] = {}
        """Requests served and CPU seconds spent, once it has ended."""


@contextmanager
def fake_model(*arguments: str) -> Iterator[FakeModel]:
    """A server in a process of its own, as long as the block lasts."""
    command = [sys.executable, "-m", "bench.fake_model", "--turns", str(TURNS), "--until-eof"]
    with subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        running = FakeModel(json.loads(server.stdout.readline())["url"])
        try:
            yield running
        finally:
            server.send_signal(signal.SIGTERM)
            running.end = json.loads(server.stdout.readline() or b"{}")


def _prompt() -> list[Message]:
    return [SystemMessage("You are a careful assistant. " * 8), UserMessage("Find the answer.")]


def seam(http: HttpClient, url: str) -> Conversation:
    head = b'{"model":"fake",' + encode_tools(TOOLS).body + b',"messages":['
    messages = _prompt()
    bodies = []
    for turn in range(TURNS):
        bodies.append(head + encode_messages(messages) + b"]}")
        call = ToolCall(f"call_{turn}_0", "lookup", {"key": "x"})
        messages += (AssistantMessage("", (call,)), ToolMessage(call.id, (Text("found"),)))
    headers = {"content-type": "application/json", "authorization": "Bearer none"}

    async def converse() -> None:
        for body in bodies:
            async with http.request(
                "POST", f"{url}/chat/completions", headers=headers, body=body, timeout=60
            ) as response:
                assert response.status == 200, await response.read()
                await response.read()

    return converse


def model(http: HttpClient, url: str, stream: bool = False) -> Conversation:
    chat = OpenAIChat(OpenAIModel("fake", url, None, stream=stream), http, key="none")

    async def converse() -> None:
        messages = _prompt()
        for number in range(TURNS):
            turn = await chat.turn(ModelRequest(messages, TOOLS, turn=number))
            if not turn.calls:
                return
            messages.append(AssistantMessage(turn.content, turn.calls))
            messages += [ToolMessage(call.id, (Text("found"),)) for call in turn.calls]
        raise AssertionError("the conversation did not end")

    return converse


def streamed(http: HttpClient, url: str) -> Conversation:
    return model(http, url, stream=True)


CONTENDERS = {
    "seam": seam,
    "aiohttp": seam,
    "httpx2": seam,
    "openai": model,
    "openai streamed": streamed,
}
LIBRARIES: dict[str, Callable[[int], AbstractAsyncContextManager[HttpClient]]] = {
    "aiohttp": open_aiohttp,
    "httpx2": open_httpx2,
}
OTHER = {"asyncio": "httpx2", "trio": "aiohttp"}
"""The library that is not the one of this event loop."""
ROLLOUTS = ("rollout in-process", "rollout openai")


async def lookup(key: str) -> str:
    """Looks a key up.

    Args:
        key: Which.
    """
    return "found"


def _agent(name: str, url: str) -> nexau.Agent:
    def play(request: ModelRequest) -> Turn:
        if request.turn < TURNS - 1:
            return calls(("lookup", {"key": "x"}))
        return Turn(content="Done.")

    over_http = OpenAIModel("fake", url, None)
    played: Model | OpenAIModel = over_http if name == "rollout openai" else FunctionPolicy(play)
    prompt = nexau.Prompt("You are a careful assistant. " * 8)
    return nexau.Agent("a", played, system_prompt=prompt, tools=(nexau.python_tool(lookup),))


async def measure_rollouts(name: str, url: str, concurrency: int, count: int) -> dict[str, float]:
    agent = _agent(name, url)
    async with nexau.open_runtime() as runtime:

        async def go(number: int) -> None:
            tasks = ["Find the answer."] * number
            async with runtime.rollouts(agent, tasks, concurrency=concurrency) as run:
                async for trajectory in run:
                    assert len(trajectory.steps) == TURNS, trajectory

        await go(concurrency)  # opens the connections
        cpu, wall = time.process_time(), time.perf_counter()
        await go(count)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_ms": 1000 * cpu / count, "per_second": count / wall}


async def measure(name: str, url: str, concurrency: int, count: int) -> dict[str, float]:
    if name in ROLLOUTS:
        return await measure_rollouts(name, url, concurrency, count)
    opened = LIBRARIES[name](0) if name in LIBRARIES else open_http()
    async with opened as http:
        converse = CONTENDERS[name](http, url)
        left = count

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await converse()

        async def all_workers() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(concurrency):
                    group.start_soon(worker)

        left = concurrency
        await all_workers()  # opens the connections
        left = count
        cpu, wall = time.process_time(), time.perf_counter()
        await all_workers()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_ms": 1000 * cpu / count, "per_second": count / wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", default="64,1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000, help="conversations a round")
    parser.add_argument("--backend", default="asyncio", choices=("asyncio", "trio"))
    parser.add_argument("--gc", default="", help="thresholds, as 50000,20,100")
    arguments = parser.parse_args()
    if arguments.gc:
        gc.set_threshold(*map(int, arguments.gc.split(",")))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    runs: dict[tuple[int, str], list[dict[str, float]]] = {}
    with fake_model() as server:
        for _ in range(arguments.rounds):
            for concurrency in map(int, arguments.concurrency.split(",")):
                for name in (*CONTENDERS, *ROLLOUTS):
                    if name == OTHER[arguments.backend]:
                        continue
                    result = run(name, server.url, concurrency, arguments)
                    runs.setdefault((concurrency, name), []).append(result)
    for (concurrency, name), results in runs.items():
        line: dict[str, object] = {"backend": arguments.backend, "contender": name}
        line |= {"concurrency": concurrency, "gc": gc.get_threshold()}
        for key in ("cpu_ms", "per_second"):
            values = [result[key] for result in results]
            line[key] = round(statistics.median(values), 4)
            line[f"{key}_all"] = [round(value, 4) for value in values]
        say(line)
    spent, served = server.end["cpu_seconds"], server.end["served"]
    say({"server": server.end, "us_a_request": round(1e6 * spent / served, 1)})


def run(name: str, url: str, concurrency: int, arguments: argparse.Namespace) -> dict[str, float]:
    options = {"use_uvloop": True} if arguments.backend == "asyncio" else {}
    count = max(arguments.count, concurrency)
    return anyio.run(
        measure, name, url, concurrency, count,
        backend=arguments.backend, backend_options=options,
    )  # fmt: skip


def say(line: dict[str, object]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    main()
