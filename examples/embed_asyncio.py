"""Embed the runtime in an asyncio program: run one agent, stream many, watch, stop early."""

import asyncio
from collections.abc import AsyncIterator

import nexau


async def square(number: int) -> int:
    """The square of a number.

    Args:
        number: Any integer.
    """
    return number * number


class Squarer:
    """A policy of one's own: any object with these two methods."""

    async def turn(self, request: nexau.ModelRequest) -> nexau.Turn:
        if request.turn == 0:
            number = int(request.messages[-1].content)
            call = nexau.ToolCall("c1", "square", {"number": number})
            return nexau.Turn(calls=(call,), finish_reason="tool_calls")
        return nexau.Turn(content=f"The square is {request.messages[-1].content[0].text}.")

    async def aclose(self) -> None:
        """Nothing to close."""


agent = nexau.Agent("squarer", Squarer(), tools=(nexau.python_tool(square),))


async def watch(events: AsyncIterator[nexau.Event]) -> int:
    """Counts events as they happen."""
    count = 0
    async for _ in events:
        count += 1
    return count


async def main() -> None:
    async with nexau.open_runtime() as runtime:
        one = await runtime.run(agent, "12")
        print(one.status, one.answer)

        async with asyncio.TaskGroup() as group:
            with runtime.subscribe() as events:
                watcher = group.create_task(watch(events))
                numbers = map(str, range(1_000_000))
                async with runtime.rollouts(agent, numbers, concurrency=8) as run:
                    async for trajectory in run:
                        if trajectory.input == "20":
                            break  # the rest is cancelled, nothing is left behind
        print("enough:", run.summary().rollouts < 1_000, "events:", watcher.result() > 20)
        print(runtime.tree())


if __name__ == "__main__":
    asyncio.run(main())
