"""Tasks that end when told to."""

from collections.abc import AsyncIterator

import anyio
import pytest

from nexau.cli.pull import Pull
from nexau.definition import Task

pytestmark = pytest.mark.anyio


async def some(count: int) -> AsyncIterator[Task]:
    for number in range(count):
        yield Task(str(number))


async def silent() -> AsyncIterator[Task]:
    yield Task("0")
    await anyio.sleep_forever()


async def taken(pull: Pull) -> list[str]:
    return [task.input async for task in pull]


@pytest.mark.parametrize(("limit", "count"), [(None, 3), (2, 2), (3, 3), (9, 3)])
async def test_all_or_the_first(limit: int | None, count: int) -> None:
    assert await taken(Pull(some(3), limit)) == [str(number) for number in range(count)]


async def test_a_limit_leaves_the_next_task_alone() -> None:
    pull = Pull(silent(), 1)
    assert await taken(pull) == ["0"]


async def test_stopped_while_waiting() -> None:
    pull = Pull(silent(), None)
    async with anyio.create_task_group() as tasks:
        got: list[str] = []

        async def take() -> None:
            got.extend(await taken(pull))

        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        pull.stop()
    assert got == ["0"]


async def test_stopped_before() -> None:
    pull = Pull(some(3), None)
    pull.stop()
    assert await taken(pull) == []
