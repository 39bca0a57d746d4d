"""What runs of one instance, brought to its end: the handler, background tasks, the last hook."""

from typing import TYPE_CHECKING

import anyio

from nexau.actors._cell import deadline, logger, report
from nexau.actors._family import Extra
from nexau.actors._states import STOPPING

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

PATIENCE = 0.05
"""Seconds after which a handler that does not heed its cancellation is cancelled again."""


async def handler_over(cell: "ActorRef", extra: Extra, shutdown: float | None) -> None:
    """Let the current message end, for `shutdown` seconds if this is a stop; then cancel it."""
    future = cell._system._backend.future
    if extra.busy and not extra.killed and cell._state == STOPPING:
        extra.idle = future()
        with anyio.CancelScope(deadline=deadline(shutdown)) as extra.hurry:
            await extra.idle
        extra.hurry = None
    patience = PATIENCE
    while extra.busy:
        cell._interrupt()
        extra.idle = future()
        with anyio.move_on_after(patience):
            await extra.idle
        patience = min(2 * patience, 1.0)
    extra.idle = None


async def tasks_over(extra: Extra) -> None:
    """Cancel the background tasks, and wait until they have ended."""
    if extra.tasks:
        for task in list(extra.tasks):
            task.scope.cancel()
        for task in list(extra.tasks):
            await task.done


async def run_stopped(cell: "ActorRef", seconds: float | None) -> None:
    with anyio.CancelScope(deadline=deadline(seconds)) as scope:
        try:
            await cell._actor.stopped()
        except Exception as error:  # noqa: BLE001 - the boundary: a hook's fault ends the hook
            report(cell, error)
            cell._system._emit("failed", cell, error)
    if scope.cancelled_caught:
        logger.warning("%s: stopped() was cut short after %s s", cell.path, seconds)
