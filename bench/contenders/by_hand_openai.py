"""The same loop by hand, asking the model with the openai SDK. In an environment of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from bench.child import Job, Run, serve
from bench.contenders.driving import TOOLS, driver, tool_function
from bench.work import SYSTEM, Work


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    tool: Any = tool_function(work)
    async with AsyncOpenAI(
        base_url=job.model, api_key="none", timeout=300, max_retries=0
    ) as client:

        async def one(task: str) -> dict[str, Any]:
            messages: list[Any] = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": task},
            ]
            while True:
                answer = await client.chat.completions.create(
                    model="fake", messages=messages, tools=TOOLS
                )
                message = answer.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                if not message.tool_calls:
                    return {"messages": messages, "answer": message.content}
                for call in message.tool_calls:
                    content = await tool(**json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": content})

        yield driver(job, one)


if __name__ == "__main__":
    serve(open_contender, "openai")
