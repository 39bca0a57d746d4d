"""Room in a mailbox: those who wait for it, first come first served."""

from collections import deque
from typing import TYPE_CHECKING, Any

from nexau.actors._cell import mail_count
from nexau.actors._envelopes import NOTHING, Ask, Waiting
from nexau.actors._states import HELD, IDLE, RUNNING
from nexau.actors._worker import Worker

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


async def wait_for_room(cell: "ActorRef", message: Any) -> None:
    """Returns when the message is in the mailbox, or refused with it."""
    room = cell._system._backend.future()
    waiting = Waiting(message, room)
    waiters = line(cell)
    executor = cell._executor()
    cell._check_circle(executor)
    executor.waiting = cell
    waiters.append(waiting)
    try:
        await room
    except BaseException:
        if waiting in waiters:
            waiters.remove(waiting)
        raise
    finally:
        executor.waiting = None


def line(cell: "ActorRef") -> deque[Waiting]:
    """Those who wait, made on first use."""
    if cell._waiters is None:
        cell._waiters = deque()
    return cell._waiters


def admit(cell: "ActorRef") -> None:
    """Give freed room to those who wait, first come first served. The message moves on its
    sender's behalf, so nobody can take the room before the sender wakes."""
    waiters = cell._waiters
    bound = cell._policy.mailbox
    while waiters and mail_count(cell) < bound:
        waiting = waiters.popleft()
        if waiting.room is None:
            if waiting.item.reply.done():
                continue
        elif waiting.room.done():
            continue
        else:
            waiting.room.set_result(None)
        cell._post(waiting.item)
    if not waiters:
        cell._waiters = None


def abandon(cell: "ActorRef", item: Ask) -> None:
    """The asker has gone: take its message back, or cancel the work on it."""
    by = cell._by
    if cell._state == RUNNING and isinstance(by, Worker) and by.ask is item:
        by.strike()
        return
    mail = cell._mail
    if cell._letter is item:
        cell._letter = NOTHING
        if cell._waiters is not None:
            cell._admit()
    elif mail is not None and item in mail:
        mail.remove(item)
        # A READY actor stays in the queue, which finds its mailbox empty.
        if not mail and cell._state in (IDLE, HELD):
            cell._mail = None
        if cell._waiters is not None:
            cell._admit()
    elif cell._extra is not None and cell._extra.again is item:
        cell._extra.again = NOTHING
    elif cell._waiters is not None:
        kept = [waiting for waiting in cell._waiters if waiting.item is not item]
        cell._waiters = deque(kept) if kept else None
