"""Background tasks owned by an actor."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nexau.actors._cell import extra_of
from nexau.actors._family import Background
from nexau.actors._lifecycle import fail
from nexau.actors.errors import Refused

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


def start_task(
    cell: "ActorRef",
    function: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    name: str | None,
) -> Background:
    extra = extra_of(cell)
    task = Background(
        str(name or getattr(function, "__name__", "task")), cell._system._backend.future()
    )
    if extra.tasks is None:
        extra.tasks = {}
    extra.tasks[task] = None
    cell._system._backend.spawn(run_task, cell, task, function, args)
    return task


async def run_task(
    cell: "ActorRef",
    task: Background,
    function: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
) -> None:
    extra = extra_of(cell)
    assert extra.tasks is not None
    try:
        with task.scope:
            await function(*args)
    except Exception as error:  # noqa: BLE001 - the boundary: it is a crash of the actor
        extra.tasks.pop(task, None)
        task.done.set_result(None)
        if isinstance(error, Refused):
            error = error.error
        fail(cell, error, False, True)
    finally:
        extra.tasks.pop(task, None)
        if not task.done.done():
            task.done.set_result(None)
