"""What contenders that are frameworks share: workers over the tasks, a JSON line for each.

Standard library and anyio only: a framework lives in an environment of its own.
"""

import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio

from bench.child import Job, Run
from bench.work import TOOL, Work

BUFFER = 1 << 16
One = Callable[[str], Awaitable[dict[str, Any]]]
"""One rollout: from a task to all that a training run would want of it, as JSON."""


def driver(job: Job, one: One) -> Run:
    """Runs `one` for each task, so many at once."""

    async def run(tasks: Iterable[str], concurrency: int) -> None:
        source = enumerate(tasks)
        with job.output.open("ab", buffering=BUFFER) as output:

            async def worker() -> None:
                for number, task in source:
                    began = time.perf_counter()
                    record = {"id": number, "task": task, **await one(task)}
                    record["seconds"] = time.perf_counter() - began
                    line = json.dumps(record, separators=(",", ":"))
                    output.write(line.encode() + b"\n")

            async with anyio.create_task_group() as group:
                for _ in range(concurrency):
                    group.start_soon(worker)

    return run


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "All that is known of one customer.",
            "parameters": {
                "type": "object",
                "properties": {"customer_id": {"type": "string", "description": "As C-1042"}},
                "required": ["customer_id"],
                "additionalProperties": False,
            },
        },
    }
]
"""The tool as chat completions take it."""


def tool_function(work: Work) -> Callable[[str], Awaitable[str]]:
    """The tool as frameworks take it: an async function with hints and a docstring."""

    async def get_customer(customer_id: str) -> str:
        """All that is known of one customer.

        Args:
            customer_id: As C-1042
        """
        return await work.look_up(customer_id)

    assert get_customer.__name__ == TOOL
    return get_customer
