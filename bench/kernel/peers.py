"""Other actor libraries as contenders. Each answers with what it is asked, as their guides show it.

Imports are inside: a library may be missing, and each is loaded in its own process only.
"""

import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from patterns import Figure, Timed, clock, wall

ASKS, TELLS, SPAWNS, KEPT = 3000, 10_000, 2000, 1000


class Peer(Protocol):
    """One library."""

    async def open(self) -> None: ...
    async def start(self) -> Any:
        """A new actor that echoes."""
        ...

    async def ask(self, ref: Any, message: int) -> Any: ...
    async def tell(self, ref: Any, message: int) -> None: ...
    async def close(self) -> None: ...


class Pykka:
    """A thread an actor."""

    async def open(self) -> None:
        import pykka  # noqa: PLC0415

        class Echo(pykka.ThreadingActor):
            def on_receive(self, message: Any) -> Any:
                return message

        self.registry, self.echo = pykka.ActorRegistry, Echo

    async def start(self) -> Any:
        return self.echo.start()

    async def ask(self, ref: Any, message: int) -> Any:
        return ref.ask(message)

    async def tell(self, ref: Any, message: int) -> None:
        ref.tell(message)

    async def close(self) -> None:
        self.registry.stop_all()


class Thespian:
    """The simple system: all in the caller's thread."""

    async def open(self) -> None:
        from thespian.actors import Actor, ActorExitRequest, ActorSystem  # noqa: PLC0415

        class Echo(Actor):
            def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802
                if not isinstance(message, ActorExitRequest):
                    self.send(sender, message)

        self.system, self.echo = ActorSystem("simpleSystemBase"), Echo

    async def start(self) -> Any:
        return self.system.createActor(self.echo)

    async def ask(self, ref: Any, message: int) -> Any:
        return self.system.ask(ref, message + 1)  # 0 is no message there

    async def tell(self, ref: Any, message: int) -> None:
        self.system.tell(ref, message + 1)

    async def close(self) -> None:
        self.system.shutdown()


class Xoscar:
    """A pool of one process, actors and caller in it."""

    async def open(self) -> None:
        import xoscar  # noqa: PLC0415

        class Echo(xoscar.StatelessActor):  # type: ignore[misc]
            async def echo(self, message: Any) -> Any:
                return message

        self.xoscar, self.echo, self.count = xoscar, Echo, 0
        self.pool = await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
        await self.pool.start()

    async def start(self) -> Any:
        self.count += 1
        return await self.xoscar.create_actor(
            self.echo, address=self.pool.external_address, uid=f"echo-{self.count}"
        )

    async def ask(self, ref: Any, message: int) -> Any:
        return await ref.echo(message)

    async def tell(self, ref: Any, message: int) -> None:
        await ref.echo.tell(message)

    async def close(self) -> None:
        await self.pool.stop()


@dataclass
class Text:
    """autogen-core wants a type that it can serialize."""

    text: str


class Autogen:
    """The single-threaded runtime."""

    async def open(self) -> None:
        from autogen_core import (  # noqa: PLC0415
            AgentId,
            MessageContext,
            RoutedAgent,
            SingleThreadedAgentRuntime,
            message_handler,
        )

        async def echo(self: Any, message: Text, ctx: MessageContext) -> Text:
            return message

        # Its decorator reads annotations, which must not be text.
        echo.__annotations__ = {"message": Text, "ctx": MessageContext, "return": Text}
        kind = type("Echo", (RoutedAgent,), {"echo": message_handler(echo)})
        self.identity, self.count = AgentId, 0
        self.runtime = SingleThreadedAgentRuntime()
        await kind.register(self.runtime, "echo", lambda: kind("echo"))
        self.runtime.start()

    async def start(self) -> Any:
        self.count += 1
        ref = self.identity("echo", f"echo-{self.count}")
        await self.runtime.try_get_underlying_agent_instance(ref)  # made when first needed
        return ref

    async def ask(self, ref: Any, message: int) -> Any:
        return await self.runtime.send_message(Text(str(message)), ref)

    async def tell(self, ref: Any, message: int) -> None:
        # The nearest there is: it returns when the message is handled.
        await self.runtime.send_message(Text(str(message)), ref)

    async def close(self) -> None:
        await self.runtime.stop()


async def asks(peer: Peer) -> Timed:
    """By the wall too: a thread an actor means two switches an ask, on whose clock nobody runs."""
    ref = await peer.start()
    await peer.ask(ref, 0)
    start, started = clock(), wall()
    for number in range(ASKS):
        await peer.ask(ref, number)
    return ASKS, clock() - start, wall() - started


async def tells(peer: Peer) -> Figure:
    ref = await peer.start()
    await peer.ask(ref, 0)
    start = clock()
    for number in range(TELLS):
        await peer.tell(ref, number)
    await peer.ask(ref, 0)
    return TELLS, clock() - start


async def spawns(peer: Peer) -> Figure:
    await peer.ask(await peer.start(), 0)
    start = clock()
    for _ in range(SPAWNS):
        ref = await peer.start()
    await peer.ask(ref, 0)
    return SPAWNS, clock() - start


async def memory(peer: Peer) -> Figure:
    await peer.ask(await peer.start(), 0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [await peer.start() for _ in range(KEPT)]
    await peer.ask(kept[-1], 0)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before, KEPT


def peers(pattern: Callable[[Peer], Awaitable[Figure | Timed]]) -> dict[str, Any]:
    """The pattern on every peer, as contenders."""

    def on(cls: Callable[[], Peer]) -> Callable[[], Awaitable[Figure | Timed]]:
        async def contender() -> Figure | Timed:
            peer = cls()
            await peer.open()
            figure = await pattern(peer)
            await peer.close()
            return figure

        return contender

    return {
        "pykka": on(Pykka),
        "thespian": on(Thespian),
        "xoscar": on(Xoscar),
        "autogen": on(Autogen),
    }
