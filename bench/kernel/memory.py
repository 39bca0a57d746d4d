"""How many bytes does an idle actor take? Less is better, so the ratios read the other way."""

import gc
import tracemalloc
from typing import Any

import anyio
from harness import main
from patterns import Figure, Make, contenders, echo
from peers import memory, peers

from nexau.actors import Actor, ChildSpec, SupervisorSpec, open_system

COUNT = 20_000


class Idle(Actor):
    __slots__ = ()

    async def receive(self, message: Any) -> Any:
        return message


async def pattern(make: Make) -> Figure:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [make(echo) for _ in range(COUNT)]
    await anyio.sleep(0.1)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == COUNT
    return after - before, COUNT


async def named_and_supervised() -> Figure:
    async with open_system("bench") as system:
        supervisor = system.supervise(SupervisorSpec())
        await supervisor.ready()
        supervisor.start_child(ChildSpec("first", Idle))

        def make(_handler: Any) -> Any:
            number = len(supervisor._family.children)  # type: ignore[union-attr]
            return supervisor.start_child(ChildSpec(f"child-{number}", Idle))

        return await pattern(make)


async def plain() -> Figure:
    async with open_system("bench") as system:
        return await pattern(lambda _handler: system.spawn(Idle))


if __name__ == "__main__":
    everyone = {**contenders(pattern), "ours": plain, "ours_named": named_and_supervised}
    main(__doc__, everyone, peers(memory))
