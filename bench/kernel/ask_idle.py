"""How many asks a second of an idle actor?"""

from harness import main
from patterns import Make, Timed, clock, contenders, echo, wall
from peers import asks, peers

COUNT = 100_000


async def pattern(make: Make) -> Timed:
    ref = make(echo)
    for number in range(1000):
        await ref.ask(number)
    start, started = clock(), wall()
    for number in range(COUNT):
        await ref.ask(number)
    return COUNT, clock() - start, wall() - started


if __name__ == "__main__":
    main(__doc__, contenders(pattern), peers(asks))
