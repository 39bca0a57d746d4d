"""How many actors a second can be started, up to where each can take its first message?"""

from typing import Any

from harness import main
from patterns import Figure, Make, clock, contenders, echo
from peers import peers, spawns

from nexau.actors import Actor, open_system

COUNT = 50_000


class Echo(Actor):
    __slots__ = ()

    async def receive(self, message: Any) -> Any:
        return message


async def pattern(make: Make) -> Figure:
    kept = [make(echo) for _ in range(100)]
    await kept[-1].ask(0)
    start = clock()
    kept.extend(make(echo) for _ in range(COUNT))
    await kept[-1].ask(0)  # a task is started once its first step has run: the last one's is last
    took = clock() - start
    assert len(kept) == COUNT + 100
    return COUNT, took


async def ours() -> Figure:
    async with open_system("bench") as system:
        return await pattern(lambda _handler: system.spawn(Echo))


if __name__ == "__main__":
    main(__doc__, {**contenders(pattern), "ours": ours}, peers(spawns))
