"""A server process that the runtime runs, for servers that are reached over HTTP."""

import anyio

from nexau.actors import Actor
from nexau.sessions import SessionLost
from nexau.transports.process import open_process

READY_POLL = 0.02
READY_SECONDS = 60.0


class ProcessActor(Actor):
    """Holds one child process; ready once something listens on its port.

    A process that ends crashes the actor, so that its supervisor starts it again.
    """

    def __init__(
        self,
        name: str,
        command: str,
        args: tuple[str, ...],
        env: dict[str, str],
        cwd: str | None,
        port: int,
    ) -> None:
        self.name = name
        self.command = command
        self.args = args
        self.env = env
        self.cwd = cwd
        self.port = port
        self._gone: str | None = None

    async def started(self) -> None:
        self.context.start_soon(self._hold, name="process")
        with anyio.fail_after(READY_SECONDS):
            # A port has no event to wait for.
            while self._gone is None and not await self._listens():  # noqa: ASYNC110
                await anyio.sleep(READY_POLL)

    async def _hold(self) -> None:
        try:
            async with open_process(self.command, self.args, env=self.env, cwd=self.cwd) as process:
                code = await process.wait()
                tail = process.stderr_tail()
                raise SessionLost(f"server {self.name!r} exited with code {code}: {tail}")
        finally:
            self._gone = "gone"

    async def _listens(self) -> bool:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", self.port)
        except OSError:
            return False
        await stream.aclose()
        return True
