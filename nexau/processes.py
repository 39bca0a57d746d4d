"""A server process that the runtime runs, for servers that are reached over HTTP."""

import anyio

from nexau.actors import Actor
from nexau.sessions import SessionLost
from nexau.transports.confinement import Confinement
from nexau.transports.process import ProcessError, describe_exit, open_process

READY_POLL = 0.02


class ProcessActor(Actor):
    """Holds one child process; ready once something listens on its port.

    A process that ends crashes the actor, so that its supervisor starts it again.
    """

    expected = (SessionLost,)

    def __init__(
        self,
        name: str,
        command: str,
        args: tuple[str, ...],
        env: dict[str, str],
        cwd: str | None,
        port: int,
        start_timeout: float,
        confine: Confinement,
    ) -> None:
        self.name = name
        self.command = command
        self.args = args
        self.env = env
        self.cwd = cwd
        self.port = port
        self.start_timeout = start_timeout
        self.confine = confine
        self._gone: str | None = None

    async def started(self) -> None:
        self.context.start_soon(self._hold, name="process")
        with anyio.move_on_after(self.start_timeout):
            # A port has no event to wait for.
            while self._gone is None and not await self._listens():  # noqa: ASYNC110
                await anyio.sleep(READY_POLL)
            if self._gone is None:
                return
        late = f"nothing listens on its port after {self.start_timeout:g} s"
        raise SessionLost(self._gone or f"server {self.name!r}: {late}")

    async def _hold(self) -> None:
        try:
            async with open_process(
                self.command,
                self.args,
                env=self.env,
                cwd=self.cwd,
                pipes=False,
                confine=self.confine,
            ) as process:
                returncode = await process.wait()
                self._gone = (
                    f"server {self.name!r} {describe_exit(returncode)}: {process.stderr_tail()}"
                )
        except ProcessError as error:
            self._gone = f"server {self.name!r}: {error}"
        raise SessionLost(self._gone)

    async def _listens(self) -> bool:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", self.port)
        except OSError:
            return False
        await stream.aclose()
        return True
