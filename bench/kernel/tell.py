"""How many bounded tells a second to one actor?"""

from harness import main
from patterns import Figure, Make, clock, contenders
from peers import peers, tells

COUNT = 200_000


async def pattern(make: Make) -> Figure:
    seen = 0

    async def count(_message: object) -> int:
        nonlocal seen
        seen += 1
        return seen

    ref = make(count)
    await ref.ask(0)
    start = clock()
    for number in range(COUNT):
        await ref.tell(number)
    await ref.ask(0)
    took = clock() - start
    assert seen == COUNT + 2
    return COUNT, took


if __name__ == "__main__":
    main(__doc__, contenders(pattern), peers(tells))
