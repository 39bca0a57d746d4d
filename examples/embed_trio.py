"""Embed the runtime in a trio program: the same API, beside trio's own tasks."""

import trio

import nexau


def word_count(text: str) -> int:
    """Counts words; a plain function, so it runs in a worker thread.

    Args:
        text: Any text.
    """
    return len(text.split())


class Counter:
    """Counts the words of its task with a tool, then answers."""

    async def turn(self, request: nexau.ModelRequest) -> nexau.Turn:
        if request.turn == 0:
            text = request.messages[-1].content
            call = nexau.ToolCall("c1", "word_count", {"text": text})
            return nexau.Turn(calls=(call,), finish_reason="tool_calls")
        return nexau.Turn(content=f"{request.messages[-1].structured} words")

    async def aclose(self) -> None:
        """Nothing to close."""


agent = nexau.Agent("counter", Counter(), tools=(nexau.python_tool(word_count),))


async def main() -> None:
    async with nexau.open_runtime() as runtime:
        tasks = ["one", "one two", "one two three"]
        async with runtime.rollouts(agent, tasks, concurrency=2) as run:
            with trio.fail_after(30):
                async for trajectory in run:
                    print(trajectory.input, "->", trajectory.answer)
        summary = run.summary()
        print(f"{summary.rollouts} rollouts, {summary.calls} calls")


if __name__ == "__main__":
    trio.run(main)
