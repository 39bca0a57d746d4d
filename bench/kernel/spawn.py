"""How many actors a second can be started?"""

from harness import main
from patterns import Figure, Make, clock, contenders, echo

COUNT = 20_000


async def pattern(make: Make) -> Figure:
    kept = [make(echo) for _ in range(100)]
    start = clock()
    kept.extend(make(echo) for _ in range(COUNT))
    took = clock() - start
    await kept[-1].ask(0)
    return COUNT, took


if __name__ == "__main__":
    main(__doc__, contenders(pattern))
