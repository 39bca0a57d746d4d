"""Progress of tools, for whoever listens to events."""

from collections import deque

import anyio

from nexau.scope import Scope
from nexau.sessions import Session
from nexau.transports.protocol import Call, Progress, Result
from nexau.transports.scoping import transparent

KEPT = 64
"""What a tool may say of one call while listeners are slow; beyond it the oldest is dropped."""


async def heard(scope: Scope, session: Session, call: Call) -> Result:
    """Asks `session`, and passes on as events how far the server says it is."""
    said: deque[Progress] = deque(maxlen=KEPT)
    news, over = anyio.Event(), False

    def hear(progress: Progress) -> None:
        said.append(progress)
        news.set()

    def record() -> None:
        while said:
            scope.recorder.progressed(call.trace, said.popleft())

    async def pass_on() -> None:
        nonlocal news
        while not over:
            await news.wait()
            news = anyio.Event()
            record()
            await scope.flush()

    async with transparent(anyio.create_task_group()) as tasks:
        tasks.start_soon(pass_on)
        result = await session.ask(call, scope.seed, hear)
        over = True
        news.set()
    record()  # what came while a listener was slow leaves with the result
    return result
