"""How many asks a second of an actor that is always busy, so that each has to queue?"""

from harness import main
from patterns import Figure, Make, clock, contenders, echo

COUNT = 30_000


async def pattern(make: Make) -> Figure:
    ref = make(echo)
    for number in range(100):
        await ref.tell(number)
        await ref.ask(number)
    start = clock()
    for number in range(COUNT):
        await ref.tell(number)  # makes it busy
        await ref.ask(number)
    return COUNT, clock() - start


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
