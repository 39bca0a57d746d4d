"""Ctrl-C once: finish what runs. Twice: stop at once. Three times: leave."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from nexau.cli.exits import say
from nexau.transports.scoping import background

if TYPE_CHECKING:
    from nexau.runs import Run
    from nexau.workers.run import WorkersRun

    AnyRun = Run | WorkersRun

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
STOP_SECONDS = 10.0
"""For children to be gone and lines to be written, once nothing runs any more."""


class Interrupts:
    """The signals that have come, and the run that they are meant for."""

    def __init__(self, scope: anyio.CancelScope, grace: float) -> None:
        self.count = 0
        self._scope = scope
        self._grace = grace
        self._run: AnyRun | None = None

    def guard(self, run: "AnyRun") -> None:
        """From now on a signal drains `run`; before, it ended the program."""
        self._run = run

    async def _watch(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            async for _ in signals:
                self.count += 1
                self._act()

    def _act(self) -> None:
        if self._run is None or self.count > 2:
            self._scope.cancel()
        elif self.count == 1:
            self._drain(self._run)
            self._end_in(self._grace + STOP_SECONDS)
        else:
            say("stopping at once")
            self._run.cancel()
            self._end_in(STOP_SECONDS)

    def _end_in(self, seconds: float) -> None:
        # A server that will not go, or a reader that does not read, cannot hold it up for ever.
        self._scope.deadline = anyio.current_time() + seconds

    def _drain(self, run: "AnyRun") -> None:
        running = run.statistics()["running"]
        say(
            f"stopping: no new rollouts; the {running} that run have {self._grace:g} s to finish "
            "(again to stop at once)"
        )
        run.drain(self._grace)


@asynccontextmanager
async def obey_signals(grace: float) -> AsyncIterator[Interrupts]:
    """Signals are acted on while the block runs; without a run to drain they cancel the block."""
    with anyio.CancelScope() as scope:
        interrupts = Interrupts(scope, grace)
        async with background() as tasks:
            await tasks.start(interrupts._watch)
            yield interrupts
