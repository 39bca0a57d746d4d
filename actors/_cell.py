"""What every part of the kernel does to one actor: hold it, refuse its mail, wait for a change."""

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from nexau.actors._envelopes import NOTHING, START, Ask, Failure, Unattended
from nexau.actors._family import Extra
from nexau.actors._states import DEAD, HELD, RUNNING, STOPPING
from nexau.actors._worker import Worker
from nexau.actors.errors import ActorStopped
from nexau.actors.signals import Down

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

logger = logging.getLogger("nexau.actors")


def extra_of(cell: "ActorRef") -> Extra:
    extra = cell._extra
    if extra is None:
        extra = cell._extra = Extra()
    return extra


def stopped_error(cell: "ActorRef") -> ActorStopped:
    reason = cell._extra.reason if cell._extra is not None else None
    error = ActorStopped(cell.path, reason)
    error.__cause__ = reason
    return error


def reject(cell: "ActorRef", item: Any) -> None:
    """Turn away what came for an actor that has ended."""
    if item is START or isinstance(item, Down):
        return
    if type(item) is Ask:
        if not item.reply.done():
            item.reply.set_result(Failure(stopped_error(cell)))
        if not isinstance(item.reply, Unattended):
            return
        item = item.message
    reason = cell._extra.reason if cell._extra is not None else None
    cell._system._dead_letter(item, cell, reason)


def mail_count(cell: "ActorRef") -> int:
    """Messages in its mailbox."""
    mail = cell._mail
    return len(mail) if mail is not None else int(cell._letter is not NOTHING)


def unfold(cell: "ActorRef") -> None:
    """Off the run queue there are no letters, only mail."""
    letter = cell._letter
    if letter is not NOTHING:
        cell._letter = NOTHING
        cell._mail = deque((letter,))


def refuse_mail(cell: "ActorRef") -> None:
    """Fail everything that waits: dead letters, and errors for askers."""
    unfold(cell)
    extra = cell._extra
    if extra is not None and extra.again is not NOTHING:
        again, extra.again = extra.again, NOTHING
        if type(again) is Ask and not again.reply.done() and extra.reason is not None:
            again.reply.set_result(Failure(extra.reason))  # its own crash
        else:
            reject(cell, again)
    mail, cell._mail = cell._mail, None
    waiters, cell._waiters = cell._waiters, None
    pending = False
    for item in mail or ():
        if item is START:
            pending = True
        else:
            reject(cell, item)
    for waiting in waiters or ():
        if waiting.room is None:
            reject(cell, waiting.item)
        elif not waiting.room.done():
            waiting.room.set_result(None)
            reject(cell, waiting.item)
    if pending:  # started() never ran, so stopped() must not
        cell._mail = deque((START,))


def hold(cell: "ActorRef", state: int, leaving: bool = False) -> Extra:
    """Take an actor out of the run queue's hands."""
    extra = cell._extra
    if extra is None:
        extra = cell._extra = Extra()
    if not leaving and cell._state == RUNNING:
        extra.busy = True
    if cell._letter is not NOTHING:
        unfold(cell)
    cell._state = state
    extra.dismantled = False
    if extra.up is not None:
        came_up(cell)  # those who wait look for themselves what came of it
    return extra


def trivial(cell: "ActorRef", extra: Extra) -> bool:
    """Whether nothing of the instance has to be waited for."""
    if extra.job or extra.dismantled:
        return not extra.job
    family = cell._family
    return not (
        extra.busy
        or extra.tasks
        or cell._kind.has_stopped
        or (family is not None and family.children)
    )


def is_up(cell: "ActorRef") -> bool:
    """Whether its `started` hook, if any, is done."""
    if cell._state >= HELD:
        return False
    mail = cell._mail
    if cell._letter is START or (mail and mail[0] is START):
        return False
    by = cell._by
    starting = isinstance(by, Worker) and by.root is cell and by.ask is START
    return not (cell._state == RUNNING and starting)


def came_up(cell: "ActorRef") -> None:
    extra = cell._extra
    if extra is None or extra.up is None:
        return
    waiting, extra.up = extra.up, None
    for future in waiting:
        if not future.done():
            future.set_result(None)


async def change(cell: "ActorRef") -> None:
    """Wait until its start has succeeded or failed, or it is dead."""
    extra = extra_of(cell)
    future = cell._system._backend.future()
    if extra.up is None:
        extra.up = []
    extra.up.append(future)
    await future


async def gone(cell: "ActorRef") -> None:
    """Wait until it is buried."""
    if cell._state == DEAD:
        return
    extra = extra_of(cell)
    future = cell._system._backend.future()
    if extra.ended is None:
        extra.ended = []
    extra.ended.append(future)
    await future


async def ready(cell: "ActorRef") -> None:
    while not is_up(cell):
        if cell._state >= STOPPING:
            raise stopped_error(cell)
        await change(cell)


def deadline(seconds: float | None) -> float:
    return anyio.current_time() + seconds if seconds is not None else float("inf")


def report(cell: "ActorRef", error: BaseException) -> None:
    """Log a crash that nobody else hears of: once a second for each class, with a count."""
    kind = cell._kind
    now = cell._system._backend.now()
    if now - kind.logged < 1.0:
        kind.suppressed += 1
        return
    also = f" (and {kind.suppressed} more of {kind.name})" if kind.suppressed else ""
    kind.logged = now
    kind.suppressed = 0
    if isinstance(error, cell._actor.expected):
        logger.warning("%s crashed%s: %s", cell.path, also, error)
    else:
        logger.error("%s crashed%s", cell.path, also, exc_info=error)
