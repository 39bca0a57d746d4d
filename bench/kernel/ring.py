"""How many hops a second does a token make around a ring of 1,000 actors?"""

from typing import Any

import anyio
from harness import main
from patterns import Figure, Make, clock, contenders

SIZE, HOPS = 1000, 100_000


async def pattern(make: Make) -> Figure:
    done = anyio.Event()
    ring: list[Any] = []

    def hop(number: int) -> Any:
        async def handler(left: int) -> None:
            if left:
                await ring[number].tell(left - 1)
            else:
                done.set()

        return handler

    ring.extend(make(hop((number + 1) % SIZE)) for number in range(SIZE))
    await anyio.sleep(0.01)
    start = clock()
    await ring[0].tell(HOPS)
    await done.wait()
    return HOPS, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
