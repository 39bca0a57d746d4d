"""The loop that one would write by hand, with no runtime: what is to be had at no cost.

No supervision, no limits, no validation, no error handling; an error ends everything. Its MCP
clients send and match bare requests: no negotiation after the first message, no notifications.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import anyio
import msgspec

from bench.child import Job, Run, serve
from bench.contenders.raw_http import raw_model
from bench.work import SYSTEM, TOOL, Say, Work, children_of, script

Tool = Callable[[dict[str, str]], Awaitable[str]]
Complete = Callable[[list[dict[str, Any]]], Awaitable[Say]]

REVISION = "2025-11-25"
BUFFER = 1 << 16

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Loop:
    """Model, tools, and the list of messages between them."""

    def __init__(self, work: Work, tool: Tool, complete: Complete | None = None) -> None:
        self.work = work
        self.tool = tool
        self.complete = complete
        """Asks a model over HTTP; None for the one in-process."""
        self.scripts: dict[str, tuple[Say, ...]] = {}
        left = [""]
        while left:
            name = left.pop()
            self.scripts[name] = script(work.case, name)
            left += children_of(work.case, name)

    async def model(self, agent: str, turn: int) -> Say:
        await self.work.think()
        return self.scripts[agent][turn]

    async def rollout(self, agent: str, task: str) -> dict[str, Any]:
        """One agent from its task to its answer."""
        clock = time.perf_counter
        began = clock()
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": task},
        ]
        steps: list[dict[str, Any]] = []
        children: list[dict[str, Any]] = []
        turn = 0
        while True:
            asked = clock()
            if self.complete is None:
                say = await self.model(agent, turn)
            else:
                say = await self.complete(messages)
            answered = clock()
            if not say.calls:
                messages.append({"role": "assistant", "content": say.text})
                steps.append({"turn": turn, "model": answered - asked, "tool": 0.0})
                break
            calls = [
                {"id": f"call_{turn}_{i}", "name": name, "arguments": arguments}
                for i, (name, arguments) in enumerate(say.calls)
            ]
            messages.append(self._assistant(say, calls))
            for call, (name, arguments) in zip(calls, say.calls, strict=True):
                if name in self.scripts:
                    child = await self.rollout(name, arguments["task"])
                    children.append(child)
                    content = child["answer"]
                else:
                    content = await self.tool(arguments)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
            steps.append({"turn": turn, "model": answered - asked, "tool": clock() - answered})
            turn += 1
        return {
            "agent": agent or "root",
            "answer": say.text,
            "messages": messages,
            "steps": steps,
            "children": children,
            "seconds": clock() - began,
        }

    def _assistant(self, say: Say, calls: list[dict[str, Any]]) -> dict[str, Any]:
        if self.complete is None:
            return {"role": "assistant", "content": say.text, "calls": calls}
        asked = [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": _encode(call["arguments"]).decode(),
                },
            }
            for call in calls
        ]
        return {"role": "assistant", "content": say.text or None, "tool_calls": asked}

    async def run(self, tasks: Iterable[str], concurrency: int, output: Any) -> None:
        source = enumerate(tasks)

        async def worker() -> None:
            for number, task in source:
                done = await self.rollout("", task)
                output.write(_encode({"id": number, "task": task} | done) + b"\n")

        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(worker)


class StdioClient:
    """JSON-RPC over the pipes of a child process; requests of one loop turn go in one write."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._lines: list[bytes] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(BUFFER):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                answer = _decode(line)
                if "method" not in answer:
                    self._waiting.pop(answer["id"]).set_result(answer["result"])

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._next += 1
        loop = asyncio.get_running_loop()
        answer = self._waiting[self._next] = loop.create_future()
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        if not self._lines:
            loop.call_soon(self._flush)
        self._lines.append(_encode(message) + b"\n")
        found: dict[str, Any] = await answer
        return found

    def notify(self, method: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(_encode({"jsonrpc": "2.0", "method": method}) + b"\n")

    def _flush(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join(self._lines))
        self._lines.clear()


HELLO = {
    "protocolVersion": REVISION,
    "capabilities": {},
    "clientInfo": {"name": "by-hand", "version": "0"},
}


@asynccontextmanager
async def stdio_tool(job: Job) -> AsyncIterator[Tool]:
    process = await asyncio.create_subprocess_exec(
        *job.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    client = StdioClient(process)
    reader = asyncio.create_task(client.read())
    await client.request("initialize", HELLO)
    client.notify("notifications/initialized")

    async def call(arguments: dict[str, str]) -> str:
        result = await client.request("tools/call", {"name": TOOL, "arguments": arguments})
        return result["content"][0]["text"]  # type: ignore[no-any-return]

    try:
        yield call
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await reader
        await process.wait()


@asynccontextmanager
async def http_tool(job: Job) -> AsyncIterator[Tool]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": REVISION,
    }
    numbers = iter(range(1, 1 << 62))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(method: str, params: dict[str, Any] | None) -> bytes:
            message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
            if params is not None:
                message |= {"id": next(numbers), "params": params}
            body = _encode(message)
            async with session.post(job.url, data=body, headers=headers) as response:
                response.raise_for_status()
                if "mcp-session-id" in response.headers:
                    headers["mcp-session-id"] = response.headers["mcp-session-id"]
                return await response.read()

        await post("initialize", HELLO)
        await post("notifications/initialized", None)

        async def call(arguments: dict[str, str]) -> str:
            answer = _decode(await post("tools/call", {"name": TOOL, "arguments": arguments}))
            return answer["result"]["content"][0]["text"]  # type: ignore[no-any-return]

        yield call


@asynccontextmanager
async def python_tool(work: Work) -> AsyncIterator[Tool]:
    async def call(arguments: dict[str, str]) -> str:
        return await work.look_up(**arguments)

    yield call


def tool_of(job: Job, work: Work) -> AbstractAsyncContextManager[Tool]:
    kind = job.case.tool
    if kind == "python" or job.case.isolated:
        return python_tool(work)
    return stdio_tool(job) if kind == "stdio" else http_tool(job)


class Isolated(Loop):
    """A session of its own for each rollout."""

    def __init__(self, work: Work, job: Job) -> None:
        super().__init__(work, work.look_up)  # type: ignore[arg-type]
        self._job = job

    async def rollout(self, agent: str, task: str) -> dict[str, Any]:
        opened = stdio_tool(self._job) if self._job.case.tool == "stdio" else http_tool(self._job)
        async with opened as tool:
            return await Loop(self.work, tool).rollout(agent, task)


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    opened = tool_of(job, work)
    async with opened as tool, raw_model(job) as complete:
        loop = Loop(work, tool, complete)
        if job.case.isolated:
            loop = Isolated(work, job)

        async def run(tasks: Iterable[str], concurrency: int) -> None:
            with job.output.open("ab", buffering=BUFFER) as output:
                await loop.run(tasks, concurrency, output)

        yield run


if __name__ == "__main__":
    serve(open_contender, "anyio", "msgspec", "aiohttp")
