"""The usual floors beside which the kernel is measured: hand-written pairs, for one loop each."""

import asyncio
from collections import deque
from typing import Any


class QueuePair:
    """A task behind an `asyncio.Queue`; an ask carries a future."""

    def __init__(self, handler: Any, size: int = 256) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(size)
        self.handler = handler
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        get = self.queue.get
        handler = self.handler
        while True:
            message, reply = await get()
            answer = await handler(message)
            if reply is not None and not reply.done():
                reply.set_result(answer)

    async def ask(self, message: Any) -> Any:
        reply = asyncio.get_running_loop().create_future()
        await self.queue.put((message, reply))
        return await reply

    async def tell(self, message: Any) -> None:
        await self.queue.put((message, None))

    def close(self) -> None:
        self.task.cancel()


class DequePair:
    """A task behind a bare deque, woken by a bare future: the least a mailbox can be."""

    def __init__(self, handler: Any, size: int = 256) -> None:
        self.loop = asyncio.get_running_loop()
        self.mail: deque[Any] = deque()
        self.size = size
        self.wake: Any = None
        self.room: Any = None
        self.handler = handler
        self.task = self.loop.create_task(self.run())

    async def run(self) -> None:
        mail = self.mail
        handler = self.handler
        while True:
            while not mail:
                self.wake = self.loop.create_future()
                await self.wake
            message, reply = mail.popleft()
            if self.room is not None:
                room, self.room = self.room, None
                room.set_result(None)
            answer = await handler(message)
            if reply is not None:
                reply.set_result(answer)

    def put(self, item: Any) -> None:
        self.mail.append(item)
        if self.wake is not None:
            self.wake.set_result(None)
            self.wake = None

    async def ask(self, message: Any) -> Any:
        reply = self.loop.create_future()
        self.put((message, reply))
        return await reply

    async def tell(self, message: Any) -> None:
        while len(self.mail) >= self.size:
            if self.room is None:
                self.room = self.loop.create_future()
            await self.room
        self.put((message, None))

    def close(self) -> None:
        self.task.cancel()


class TrioPair:
    """A task behind a trio memory channel; an ask carries a channel of one."""

    def __init__(self, nursery: Any, handler: Any, size: int = 256) -> None:
        import trio  # noqa: PLC0415 - the contender's own

        self.trio = trio
        self.send, self.receive = trio.open_memory_channel[Any](size)
        self.handler = handler
        nursery.start_soon(self.run)

    async def run(self) -> None:
        async for message, reply in self.receive:
            answer = await self.handler(message)
            if reply is not None:
                reply.send_nowait(answer)

    async def ask(self, message: Any) -> Any:
        send, receive = self.trio.open_memory_channel(1)
        await self.send.send((message, send))
        return await receive.receive()

    async def tell(self, message: Any) -> None:
        await self.send.send((message, None))


class AnyioPair:
    """A task behind an anyio memory stream; an ask carries a stream of one."""

    def __init__(self, group: Any, handler: Any, size: int = 256) -> None:
        import anyio  # noqa: PLC0415 - the contender's own

        self.anyio = anyio
        self.send, self.receive = anyio.create_memory_object_stream[Any](size)
        self.handler = handler
        group.start_soon(self.run)

    async def run(self) -> None:
        async for message, reply in self.receive:
            answer = await self.handler(message)
            if reply is not None:
                reply.send_nowait(answer)

    async def ask(self, message: Any) -> Any:
        send, receive = self.anyio.create_memory_object_stream(1)
        await self.send.send((message, send))
        answer = await receive.receive()
        send.close()
        receive.close()
        return answer

    async def tell(self, message: Any) -> None:
        await self.send.send((message, None))
