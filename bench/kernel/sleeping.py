"""How many messages a second to 10,000 actors whose handlers sleep for 10 ms?

The figure is by CPU time: 10,000 handlers at once keep the core busy all along, so what a message
costs decides. `wall_figures` has the same by the clock on the wall.
"""

from typing import Any

import anyio
from harness import main
from patterns import Make, Timed, clock, contenders, wall

SIZE, ROUNDS = 10_000, 4


async def pattern(make: Make) -> Timed:
    left = 0
    done = anyio.Event()

    async def sleeps(_message: Any) -> None:
        nonlocal left
        await anyio.sleep(0.01)
        left -= 1
        if not left:
            done.set()

    refs = [make(sleeps) for _ in range(SIZE)]
    await anyio.sleep(0.05)

    async def rounds(count: int) -> None:
        nonlocal left, done
        left, done = SIZE * count, anyio.Event()
        for number in range(count):
            for ref in refs:
                await ref.tell(number)
        await done.wait()

    await rounds(1)  # tasks, timers and memory as they are in a run that goes on
    start, cpu = wall(), clock()
    await rounds(ROUNDS)
    return SIZE * ROUNDS, clock() - cpu, wall() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
