"""How long, in ms, is the loop held at most while 100 actors are flooded? Less is better.

One task tells as fast as it can; `ours_asks` has 100 tasks that ask and never have to wait. A
watcher runs once a loop turn and keeps the longest time between two of its turns. The figure is CPU
time of the process, so that other processes' share of the core stays out of it; `wall_figures` has
the same by the clock on the wall.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
from harness import main
from patterns import Make, Timed, clock, contenders, ours, wall

SECONDS = 2.0


async def work(_message: Any) -> None:
    sum(range(20))


async def pattern(make: Make) -> Timed:
    refs = [make(work) for _ in range(100)]

    async def flood() -> None:
        while True:
            for ref in refs:
                await ref.tell(1)

    return await held_by([flood])


async def ours_asks() -> Timed:
    async with ours() as make:
        refs = [make(work) for _ in range(100)]

        async def flood() -> None:
            while True:
                for ref in refs:
                    await ref.ask(1)

        return await held_by([flood] * 100)


async def held_by(floods: list[Callable[[], Awaitable[None]]]) -> Timed:
    held = held_wall = 0.0

    async def watch() -> None:
        nonlocal held, held_wall
        await anyio.sleep(0.1)
        last, last_wall = clock(), wall()
        while True:
            await anyio.lowlevel.checkpoint()
            now, now_wall = clock(), wall()
            held = max(held, now - last)
            held_wall = max(held_wall, now_wall - last_wall)
            last, last_wall = now, now_wall

    async with anyio.create_task_group() as group:
        for flood in floods:
            group.start_soon(flood)
        group.start_soon(watch)
        await anyio.sleep(SECONDS)
        group.cancel_scope.cancel()
    return 1.0, 0.001 / held, 0.001 / held_wall


if __name__ == "__main__":
    main(__doc__, {**contenders(pattern), "ours_asks": ours_asks}, ratio="ours_by_theirs")
