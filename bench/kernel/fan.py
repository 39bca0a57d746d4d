"""How many messages a second in a fan-out to 10,000 actors and the fan-in of their answers?"""

from typing import Any

import anyio
from harness import main
from patterns import Figure, Make, clock, contenders

SIZE, ROUNDS = 10_000, 5


async def pattern(make: Make) -> Figure:
    done = anyio.Event()
    seen = 0

    async def collect(_message: Any) -> None:
        nonlocal seen
        seen += 1
        if seen % SIZE == 0:
            done.set()

    collector = make(collect, SIZE)

    async def leaf(message: Any) -> None:
        await collector.tell(message)

    leaves = [make(leaf) for _ in range(SIZE)]
    await anyio.sleep(0.05)
    start = clock()
    for _ in range(ROUNDS):
        done = anyio.Event()
        for ref in leaves:
            await ref.tell(1)
        await done.wait()
    return 2 * SIZE * ROUNDS, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
