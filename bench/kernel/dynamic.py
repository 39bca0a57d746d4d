"""How many children a second does a supervisor start and stop, with 10 others and with 100,000?

O(1) means that the two figures are alike.
"""

from typing import Any

from harness import main
from patterns import Figure, clock

from nexau.actors import Actor, ChildSpec, SupervisorSpec, open_system

COUNT = 10_000


class Rollout(Actor):
    __slots__ = ()

    async def receive(self, message: Any) -> Any:
        return message


def beside(others: int) -> Any:
    async def contender() -> Figure:
        async with open_system("bench") as system:
            supervisor = system.supervise(SupervisorSpec())
            await supervisor.ready()
            for number in range(others):
                supervisor.start_child(ChildSpec(f"other-{number}", Rollout, restart="temporary"))
            start = clock()
            for number in range(COUNT):
                name = f"rollout-{number}"
                ref = supervisor.start_child(ChildSpec(name, Rollout, restart="temporary"))
                await ref.ask(number)
                await supervisor.stop_child(name)
            return COUNT, clock() - start

    return contender


if __name__ == "__main__":
    main(__doc__, {"ours": beside(10), "ours_beside_100000": beside(100_000)})
