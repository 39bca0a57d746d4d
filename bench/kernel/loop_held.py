"""How long, in ms, is the loop held at most while 100 actors are flooded? Less is better."""

from typing import Any

import anyio
import anyio.lowlevel
from harness import main
from patterns import Figure, Make, contenders, wall

SECONDS = 1.0


async def pattern(make: Make) -> Figure:
    async def work(_message: Any) -> None:
        sum(range(20))

    refs = [make(work) for _ in range(100)]
    longest = 0.0

    async def flood() -> None:
        while True:
            for ref in refs:
                await ref.tell(1)

    async def watch() -> None:
        nonlocal longest
        last = wall()
        while True:
            await anyio.lowlevel.checkpoint()
            now = wall()
            longest = max(longest, now - last)
            last = now

    async with anyio.create_task_group() as group:
        group.start_soon(flood)
        group.start_soon(watch)
        await anyio.sleep(SECONDS)
        group.cancel_scope.cancel()
    return longest * 1000, 1.0


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
