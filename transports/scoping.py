"""Task groups that leave the exception of their body as it was."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

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


class Keepers:
    """Helpers of a block that go on, when the block is cancelled, until it has cleaned up."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._scopes: list[anyio.CancelScope] = []

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: object) -> None:
        scope = anyio.CancelScope(shield=True)
        self._scopes.append(scope)
        self._tasks.start_soon(self._run, scope, function, args)

    async def _run(
        self, scope: anyio.CancelScope, function: Callable[..., Awaitable[Any]], args: Any
    ) -> None:
        with scope:
            await function(*args)

    def cancel(self) -> None:
        """End them."""
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def keepers() -> AsyncIterator[Keepers]:
    """`background` for helpers that the end of the block still needs."""
    async with transparent(anyio.create_task_group()) as tasks:
        kept = Keepers(tasks)
        try:
            yield kept
        finally:
            kept.cancel()
