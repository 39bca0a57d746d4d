"""What an error that a handler raised means: a crash, a reply, a cancellation."""

from typing import TYPE_CHECKING, Any

from nexau.actors._cell import extra_of, stopped_error
from nexau.actors._envelopes import NOTHING, START, Ask, Failure, Unattended
from nexau.actors._executor import Executor
from nexau.actors._lifecycle import fail
from nexau.actors._states import IDLE, RUNNING
from nexau.actors._worker import Worker
from nexau.actors.errors import ActorStopped, Interrupt, Refused, StrayCancellation

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


def inline_failed(
    cell: "ActorRef", executor: Executor, message: Any, error: BaseException
) -> BaseException | Ask | None:
    """Settle the actor after its handler raised in its asker's task.

    What to raise there instead of the error, what to wait for if the message is tried again, or
    None.
    """
    cell._handled += 1
    extra = cell._extra
    instead: BaseException | Ask | None = None
    if extra is not None and extra.token is not None:
        token, extra.token = extra.token, None
        if not cell._system._backend.absorb(executor.task(), token):
            instead = ActorStopped(cell.path, extra.reason)
    elif isinstance(error, cell._kind.refusals):
        if isinstance(error, Refused):
            instead = error.error
    elif isinstance(error, Exception):
        if cell._policy.retries and cell._state == RUNNING:
            instead = Ask(message, cell._kind.scheduler.future())
            try_again(cell, instead)
        fail(cell, error, True, instead is not None)
    elif (stray := _stray(cell, executor, error)) is not None:
        instead = stray
        fail(cell, stray, True)
    if cell._state == RUNNING and cell._mail is None:
        cell._state = IDLE
    elif cell._by is executor:
        cell._leave()
    return instead


def try_again(cell: "ActorRef", item: Any) -> bool:
    """Leave a message that crashed the actor to its next instance, if it has tries left."""
    if not cell._policy.retries or cell._state != RUNNING or item is START:
        return False
    extra = extra_of(cell)
    extra.tries = extra.tries + 1 if extra.tried is item else 1
    if extra.tries > cell._policy.retries:
        extra.tried = NOTHING
        return False
    extra.tried = extra.again = item
    return True


def _stray(cell: "ActorRef", executor: Executor, error: BaseException) -> StrayCancellation | None:
    """A crash, where a cancellation came out of a handler that nobody had asked for."""
    backend = cell._system._backend
    if not isinstance(error, (backend.cancelled, Interrupt)):
        return None
    if backend.is_cancelled(executor.task()):
        return None
    stray = StrayCancellation(f"{cell.path} let a cancellation out")
    stray.__cause__ = error
    return stray


def worker_failed(cell: "ActorRef", worker: Worker, item: Any, error: BaseException) -> bool:
    """Attribute what a handler or `started` raised; True if it must rise further."""
    kind = cell._kind
    if item is not START and isinstance(error, kind.refusals):
        answer(cell, item, Failure(error.error if isinstance(error, Refused) else error))
        return False
    if not isinstance(error, Exception):
        stray = None if worker.struck else _stray(cell, worker, error)
        if stray is None:
            cancelled = isinstance(error, (cell._system._backend.cancelled, Interrupt))
            if cancelled and not (cell._state == RUNNING and worker.struck):
                answer(cell, item, Failure(stopped_error(cell)))
            elif not cancelled and type(item) is Ask and not item.reply.done():
                item.reply.set_result(Failure(error))
            return True
        error = stray
    if try_again(cell, item):
        fail(cell, error, True, True)
        return False
    attended = type(item) is Ask and not isinstance(item.reply, Unattended)
    fail(cell, error, True, not attended)
    if type(item) is Ask and not item.reply.done():
        item.reply.set_result(Failure(error))
    return False


def answer(cell: "ActorRef", item: Any, failure: Failure) -> None:
    message = item
    if type(item) is Ask:
        if not item.reply.done():
            item.reply.set_result(failure)
        if not isinstance(item.reply, Unattended):
            return
        message = item.message
    if item is not START:
        cell._system._dead_letter(message, cell, failure.error)
