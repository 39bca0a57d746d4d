"""Tasks as a stream: a million of them never sit in memory."""

from collections import deque
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from nexau.definitions.values import DefinitionError, Task
from nexau.tasks.sources import Source, source_of

TaskLike = Task | str | Mapping[str, Any]
TaskSource = str | Path | Iterable[TaskLike] | AsyncIterable[TaskLike]


class TaskStream:
    """An async iterator over tasks that holds one batch of them. Several tasks may pull from it.

    It closes itself at the end and at an error; `aclose` it, or enter it, to stop before.
    """

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self._source = source
        self._left: float = limit if limit is not None else float("inf")
        self._ready: deque[Task] = deque()
        self._error: DefinitionError | None = None
        self._ended = False
        self._lock: anyio.Lock | None = None

    def __aiter__(self) -> Self:
        return self

    def ready(self) -> Task | None:
        """The next task, where it has been read already."""
        if not self._ready or not self._left:
            return None
        self._left -= 1
        return self._ready.popleft()

    def ready_ones(self, most: int) -> list[Task]:
        """The next tasks, at most `most`, of those that have been read already."""
        count = int(min(most, len(self._ready), self._left))
        self._left -= count
        return [self._ready.popleft() for _ in range(count)]

    async def __anext__(self) -> Task:
        """Raises `DefinitionError` at the first line that is no task, after all before it."""
        if not self._left:
            await self.aclose()
            raise StopAsyncIteration
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            await self._fill()
        self._left -= 1
        return self._ready.popleft()

    async def _fill(self) -> None:
        lock = self._lock
        if lock is None:
            lock = self._lock = anyio.Lock()  # belongs to the event loop that runs now
        async with lock:
            if self._ready or self._ended:
                return
            try:
                batch = await self._source.batch()
            except DefinitionError:
                await self.aclose()
                raise
            self._ready.extend(batch.tasks)
            self._error = batch.error
            if batch.end:
                await self.aclose()

    async def aclose(self) -> None:
        """Ends the stream; what was read and not yet taken can still be taken."""
        self._ended = True
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.aclose()


def read_tasks(source: TaskSource, *, limit: int | None = None) -> TaskStream:
    """Tasks from a file of JSON lines, from standard input (`-`), or from an iterable; the first
    `limit` of them where it is given.

    A line is an object with `input`, or the bare request as a JSON string; blank lines are
    skipped. A task without `id` gets its line number, or its place in the iterable, from 1.
    Whether ids repeat is not checked: that would mean keeping them all.

    Files and standard input are read in a worker thread, a block at a time, and so are iterables
    other than lists and tuples: one may be run by several threads, never by two at once, and is
    left alone once a pull was cancelled. Raises `DefinitionError` for a file that is not there.
    """
    if isinstance(source, TaskStream):
        return source
    return TaskStream(source_of(source), limit)


__all__ = ["TaskLike", "TaskSource", "TaskStream", "read_tasks"]
