"""How many messages a second to 1,000 actors whose handlers suspend for one turn of the loop?"""

from harness import main
from patterns import Figure, Make, clock, contenders, turn

SIZE, ROUNDS = 1000, 50


async def pattern(make: Make) -> Figure:
    refs = [make(turn) for _ in range(SIZE)]
    for ref in refs:
        await ref.tell(0)
    for ref in refs:
        await ref.ask(0)
    start = clock()
    for number in range(ROUNDS):
        for ref in refs:
            await ref.tell(number)
    for ref in refs:
        await ref.ask(0)
    return SIZE * ROUNDS, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
