"""What is timed, written once for every contender: anything with `ask` and `tell`."""

import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
from floors import AnyioPair, DequePair, QueuePair, TrioPair

from nexau.actors import Actor, open_system
from nexau.actors._backend import backend_name

Contender = Callable[[], Awaitable["Figure | Timed"]]
Make = Callable[..., Any]
"""`make(handler, size)`: an address, with room for `size` messages."""
Figure = tuple[float, float]
Timed = tuple[float, float, float]
"""Operations, CPU seconds, seconds on the wall."""


class Handles(Actor):
    """An actor around a plain handler."""

    __slots__ = ("receive",)

    def __init__(self, handler: Any) -> None:
        self.receive = handler  # type: ignore[method-assign]


@asynccontextmanager
async def ours() -> AsyncIterator[Make]:
    async with open_system("bench") as system:
        yield lambda handler, size=256: system.spawn(partial(Handles, handler), mailbox=size)
        gc.collect()


@asynccontextmanager
async def floor(cls: Any) -> AsyncIterator[Make]:
    made: list[Any] = []

    def make(handler: Any, size: int = 256) -> Any:
        made.append(cls(handler, size))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


@asynccontextmanager
async def grouped(cls: Any) -> AsyncIterator[Make]:
    async with anyio.create_task_group() as group:
        yield lambda handler, size=256: cls(group, handler, size)
        group.cancel_scope.cancel()


def contenders(pattern: Callable[[Make], Awaitable[Figure | Timed]]) -> dict[str, Any]:
    """The pattern on ours and on every floor that runs on the loop asked for."""

    def on(opened: Callable[[], Any], asyncio_only: bool | None) -> Contender:
        async def contender() -> Figure | Timed:
            if asyncio_only is not None and asyncio_only == (backend_name() == "trio"):
                raise ImportError("not on this loop")
            async with opened() as make:
                return await pattern(make)

        return contender

    return {
        "ours": on(ours, None),
        "queue": on(lambda: floor(QueuePair), True),
        "deque_future": on(lambda: floor(DequePair), True),
        "trio_channel": on(lambda: grouped(TrioPair), False),
        "anyio_stream": on(lambda: grouped(AnyioPair), None),
    }


async def echo(message: Any) -> Any:
    return message


async def turn(message: Any) -> Any:
    await nothing()
    return message


async def nothing() -> None:
    """One turn of the loop, as cheap as the loop has it."""
    await anyio.lowlevel.checkpoint()


def clock() -> float:
    """CPU seconds of this process: what other processes do to the machine stays out of it."""
    return time.process_time()


def wall() -> float:
    return time.perf_counter()
