"""Tasks that can be told to end, even while the next one is awaited."""

from collections.abc import AsyncIterator

import anyio

from nexau.definition import Task


class Pull:
    """The first `count` of `tasks`, or all, until `stop`.

    Otherwise a run that drains would wait for a line of a stdin that stays silent. For one puller
    at a time, as `Run` is.
    """

    def __init__(self, tasks: AsyncIterator[Task], count: int | None) -> None:
        self._tasks = tasks
        self._left = count
        self._stopped = False
        self._waiting: anyio.CancelScope | None = None

    def stop(self) -> None:
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    def __aiter__(self) -> "Pull":
        return self

    async def __anext__(self) -> Task:
        if self._left == 0 or self._stopped:
            raise StopAsyncIteration
        with anyio.CancelScope() as self._waiting:
            task = await anext(self._tasks)
            if self._left is not None:
                self._left -= 1
            return task
        raise StopAsyncIteration
