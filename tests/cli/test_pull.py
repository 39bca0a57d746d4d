"""Tasks that end when told to."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import pytest

from nexau.cli.pull import Pull
from nexau.definition import Task

pytestmark = pytest.mark.anyio


async def some(count: int) -> AsyncGenerator[Task, None]:
    for number in range(count):
        yield Task(str(number))


async def silent() -> AsyncGenerator[Task, None]:
    yield Task("0")
    await anyio.sleep_forever()


async def taken(tasks: AsyncGenerator[Task, None], limit: int | None) -> list[str]:
    async with aclosing(tasks):
        return [task.input async for task in Pull(tasks, limit)]


@pytest.mark.parametrize(("limit", "count"), [(None, 3), (2, 2), (3, 3), (9, 3)])
async def test_all_or_the_first(limit: int | None, count: int) -> None:
    assert await taken(some(3), limit) == [str(number) for number in range(count)]


async def test_a_limit_leaves_the_next_task_alone() -> None:
    assert await taken(silent(), 1) == ["0"]


async def test_stopped_while_waiting() -> None:
    pull = Pull(silent(), None)
    got: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def take() -> None:
            got.extend([task.input async for task in pull])

        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        pull.stop()
    assert got == ["0"]


async def test_stopped_before() -> None:
    async with aclosing(some(3)) as tasks:
        pull = Pull(tasks, None)
        pull.stop()
        assert [task async for task in pull] == []
