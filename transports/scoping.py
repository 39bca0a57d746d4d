"""Task groups that leave the exception of their body as it was."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


@asynccontextmanager
async def transparent(manager: AbstractAsyncContextManager[T, bool | None]) -> AsyncIterator[T]:
    """`manager`, which has a task group inside, without its exception group around what the block
    raises. What its own tasks raise leaves in a group as ever.
    """
    raised: BaseException | None = None
    try:
        async with manager as value:
            try:
                yield value
            except BaseException as error:
                raised = error
                raise
    except BaseExceptionGroup as group:
        if raised is None or group.exceptions != (raised,):
            raise
    if raised is not None:
        raise raised


@asynccontextmanager
async def background() -> AsyncIterator[TaskGroup]:
    """A task group for the helpers of a block, cancelled when the block ends."""
    async with transparent(anyio.create_task_group()) as tasks:
        try:
            yield tasks
        finally:
            tasks.cancel_scope.cancel()
