"""The same loop by hand, asking the model with aiohttp."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.child import Job, Run, serve
from bench.contenders.by_hand import BUFFER, Loop, python_tool
from bench.contenders.raw_http import request_body, said
from bench.work import Say, Work


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    headers = {"content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, python_tool(work) as tool:
        url = f"{job.model}/chat/completions"

        async def complete(messages: list[dict[str, Any]]) -> Say:
            body = request_body(messages)
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                return said(await response.read())

        loop = Loop(work, tool, complete)

        async def run(tasks: Iterable[str], concurrency: int) -> None:
            with job.output.open("ab", buffering=BUFFER) as output:
                await loop.run(tasks, concurrency, output)

        yield run


if __name__ == "__main__":
    serve(open_contender, "aiohttp", "anyio", "msgspec")
