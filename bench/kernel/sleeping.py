"""How many messages a second to 10,000 actors whose handlers sleep for 10 ms?"""

from typing import Any

import anyio
from harness import main
from patterns import Figure, Make, contenders, wall

SIZE, ROUNDS = 10_000, 4


async def sleeps(message: Any) -> Any:
    await anyio.sleep(0.01)
    return message


async def pattern(make: Make) -> Figure:
    refs = [make(sleeps) for _ in range(SIZE)]
    await anyio.sleep(0.05)
    start = wall()
    for number in range(ROUNDS - 1):
        for ref in refs:
            await ref.tell(number)
    async with anyio.create_task_group() as group:
        for ref in refs:
            group.start_soon(ref.ask, 0)
    return SIZE * ROUNDS, wall() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
