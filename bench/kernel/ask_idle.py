"""How many asks a second of an idle actor?"""

from harness import main
from patterns import Figure, Make, clock, contenders, echo

COUNT = 100_000


async def pattern(make: Make) -> Figure:
    ref = make(echo)
    for number in range(1000):
        await ref.ask(number)
    start = clock()
    for number in range(COUNT):
        await ref.ask(number)
    return COUNT, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
