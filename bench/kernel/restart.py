"""How many crashes a second, each followed by a restart and an answered ask?"""

from typing import Any

from harness import main
from patterns import Figure, clock

from nexau.actors import Actor, ChildSpec, SupervisorSpec, open_system

COUNT = 50_000


class Crashes(Actor):
    __slots__ = ()

    async def receive(self, message: Any) -> Any:
        raise ValueError


async def ours() -> Figure:
    async with open_system("bench") as system:
        spec = SupervisorSpec(intensity=10**9, children=(ChildSpec("a", Crashes),))
        supervisor = system.supervise(spec)
        await supervisor.ready()
        ref = supervisor.children[0]
        start = clock()
        for _ in range(COUNT):
            try:
                await ref.ask(1)
            except ValueError:
                continue
        took = clock() - start
        assert ref.statistics().restarts >= COUNT - 1
        return COUNT, took


if __name__ == "__main__":
    main(__doc__, {"ours": ours})
