"""What an error that a handler raised means: a crash, a reply, a cancellation."""

from typing import TYPE_CHECKING, Any

from nexau.actors._cell import stopped_error
from nexau.actors._envelopes import START, Ask, Failure, Unattended
from nexau.actors._executor import Executor
from nexau.actors._lifecycle import fail
from nexau.actors._scheduler import RUNNING, Worker
from nexau.actors.errors import ActorStopped, Interrupt, Refused, StrayCancellation

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


def inline_failed(cell: "ActorRef", executor: Executor, error: BaseException) -> BaseException:
    """Settle the actor after its handler raised in its asker's task; what to raise there."""
    cell._handled += 1
    extra = cell._extra
    backend = cell._system._backend
    if extra is not None and extra.token is not None:
        token, extra.token = extra.token, None
        besides = backend.absorb(executor.task(), token)
        cell._leave()
        return error if besides else ActorStopped(cell.path, extra.reason)
    if isinstance(error, (backend.cancelled, Interrupt)):
        if backend.is_cancelled(executor.task()):
            cell._leave()
            return error
        stray = StrayCancellation(f"{cell.path} let a cancellation out")
        stray.__cause__ = error
        error = stray
    if isinstance(error, Refused):
        cell._leave()
        return error.error
    if isinstance(error, Exception) and not isinstance(error, cell._kind.refuses):
        fail(cell, error, leaving=True)
    cell._leave()
    return error


def worker_failed(cell: "ActorRef", worker: Worker, item: Any, error: BaseException) -> bool:
    """Attribute what a handler or `started` raised; True if it must rise further."""
    backend = cell._system._backend
    if isinstance(error, (backend.cancelled, Interrupt)):
        cancelled = worker.struck
        if cancelled or backend.is_cancelled(worker.task()):
            if cell._state != RUNNING or not cancelled:
                answer(cell, item, Failure(stopped_error(cell)))
            return True
        stray = StrayCancellation(f"{cell.path} let a cancellation out")
        stray.__cause__ = error
        error = stray
    refusal = error.error if isinstance(error, Refused) else error
    if item is not START and isinstance(error, (Refused, *cell._kind.refuses)):
        answer(cell, item, Failure(refusal))
        return False
    attended = type(item) is Ask and not isinstance(item.reply, Unattended)
    fault = isinstance(error, Exception)
    if fault:
        fail(cell, error, leaving=True, told=not attended)
    if type(item) is Ask and not item.reply.done():
        item.reply.set_result(Failure(error))
    return not fault


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
