"""verifiers: rollouts of a `ToolEnv`, scored by a rubric that gives 1."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import verifiers as vf
from datasets import Dataset
from openai import AsyncOpenAI
from verifiers.clients import Client, OpenAIChatCompletionsClient
from verifiers.types import Response, ResponseMessage, ToolCall

from bench.child import Job, Run, serve
from bench.contenders.driving import driver, tool_function
from bench.work import SYSTEM, Say, Work, script


class Scripted(Client):
    """Turns that cost next to nothing."""

    def __init__(self, work: Work) -> None:
        super().__init__(None)
        self._work = work
        self._turns = [_turn(say, number) for number, say in enumerate(script(work.case, ""))]

    def setup_client(self, config: Any) -> Any:
        return None

    async def to_native_tool(self, tool: Any) -> Any:
        return tool

    async def to_native_prompt(self, messages: Any) -> Any:
        return messages, {}

    async def get_native_response(self, prompt: Any, *_: Any, **__: Any) -> Response:
        await self._work.think()
        return self._turns[sum(message.role == "assistant" for message in prompt)]

    async def raise_from_native_response(self, response: Any) -> None:
        """Nothing can be wrong with it."""

    async def from_native_response(self, response: Any) -> Response:
        return response  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Holds nothing."""


def _turn(say: Say, number: int) -> Response:
    calls = [
        ToolCall(id=f"call_{number}_{i}", name=name, arguments=json.dumps(arguments))
        for i, (name, arguments) in enumerate(say.calls)
    ]
    message = ResponseMessage(
        content=say.text,
        tool_calls=calls or None,
        finish_reason="tool_calls" if calls else "stop",
        is_truncated=False,
    )
    return Response(id="r", created=0, model="scripted", message=message)


def one_point(**_: Any) -> float:
    """The reward."""
    return 1.0


@asynccontextmanager
async def open_contender(job: Job, work: Work) -> AsyncIterator[Run]:
    client: Any = Scripted(work)
    if job.model:
        own = AsyncOpenAI(base_url=job.model, api_key="none", timeout=300, max_retries=0)
        client = OpenAIChatCompletionsClient(own)
    env = vf.ToolEnv(
        tools=[tool_function(work)],
        dataset=Dataset.from_list([{"question": "none", "answer": ""}]),
        rubric=vf.Rubric(funcs=[one_point]),
        max_turns=20,
    )

    async def one(task: str) -> dict[str, Any]:
        prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task}]
        given: Any = {"prompt": prompt, "example_id": 0, "answer": ""}
        output = await env.run_rollout(given, client, "fake", {})
        return {"prompt": prompt, "completion": _plain(output), "reward": output["reward"]}

    yield driver(job, one)


def _plain(output: Any) -> list[Any]:
    return [
        each.model_dump(exclude_none=True) if hasattr(each, "model_dump") else each
        for each in output["completion"]
    ]


if __name__ == "__main__":
    serve(open_contender, "verifiers", "openai")
