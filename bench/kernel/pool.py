"""How many calls a second through one pool, by 100 callers?

Beside ours, a task group of the loop behind a semaphore, which is what a pool is usually made of
(`semaphore`), and the Queue pair's fan of workers on one queue (`queue`). Workers echo; with
`_suspends` in the name they suspend for one turn of the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from harness import main
from patterns import Figure, clock, echo, turn

from nexau.actors import Actor, open_system
from nexau.actors._backend import backend_name

CALLERS, EACH, SIZE = 100, 300, 16
Ask = Callable[[Any], Awaitable[Any]]


class Echo(Actor):
    async def receive(self, message: Any) -> Any:
        return message


class Turns(Actor):
    async def receive(self, message: Any) -> Any:
        return await turn(message)


async def called(ask: Ask) -> Figure:
    async def call(count: int) -> None:
        for number in range(count):
            await ask(number)

    async def together(count: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(call, count)

    await together(10)
    start = clock()
    await together(EACH)
    return CALLERS * EACH, clock() - start


def ours(cls: type[Actor]) -> Callable[[], Awaitable[Figure]]:
    async def contender() -> Figure:
        async with open_system("bench") as system:
            return await called(system.pool(cls, size=SIZE).ask)

    return contender


def semaphore(handler: Ask) -> Callable[[], Awaitable[Figure]]:
    async def contender() -> Figure:
        free = anyio.Semaphore(SIZE)

        async def ask(message: Any) -> Any:
            async with free:
                return await handler(message)

        return await called(ask)

    return contender


def queue(handler: Ask) -> Callable[[], Awaitable[Figure]]:
    async def contender() -> Figure:
        if backend_name() == "trio":
            raise ImportError("not on this loop")
        loop = asyncio.get_running_loop()
        calls: asyncio.Queue[Any] = asyncio.Queue(256)

        async def work() -> None:
            while True:
                message, reply = await calls.get()
                reply.set_result(await handler(message))

        async def ask(message: Any) -> Any:
            reply = loop.create_future()
            await calls.put((message, reply))
            return await reply

        workers = [loop.create_task(work()) for _ in range(SIZE)]
        figure = await called(ask)
        for worker in workers:
            worker.cancel()
        return figure

    return contender


if __name__ == "__main__":
    main(
        __doc__,
        {
            "ours": ours(Echo),
            "queue": queue(echo),
            "semaphore": semaphore(echo),
            "ours_suspends": ours(Turns),
            "queue_suspends": queue(turn),
            "semaphore_suspends": semaphore(turn),
        },
    )
