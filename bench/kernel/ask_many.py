"""How many asks a second by 100 askers of one actor?"""

import anyio
from harness import main
from patterns import Figure, Make, clock, contenders, echo

ASKERS, EACH = 100, 2000


async def pattern(make: Make) -> Figure:
    ref = make(echo)
    await ref.ask(0)

    async def ask(count: int) -> None:
        for number in range(count):
            await ref.ask(number)

    async def together(count: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(ASKERS):
                group.start_soon(ask, count)

    await together(10)
    start = clock()
    await together(EACH)
    return ASKERS * EACH, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
