"""Lives and deaths: what follows when an actor fails, stops or is killed.

Decisions are plain functions that run at once, in whichever task brought the news. Only what has
to wait (a running handler, children, hooks, a delay) gets a task, one for each actor concerned;
nothing goes through a mailbox, so a busy parent holds nothing up.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from nexau.actors._family import Background, Extra
from nexau.actors._scheduler import DEAD, HELD, IDLE, RUNNING, START, STOPPING, Ask, Failure
from nexau.actors.errors import ActorError, ActorStopped, Refused, SupervisorFailed
from nexau.actors.signals import Down
from nexau.actors.specs import SHUTDOWN
from nexau.actors.supervision import Delay, add_restart, affected, restarts

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

logger = logging.getLogger("nexau.actors")

PATIENCE = 0.05
"""Seconds after which a handler that does not heed its cancellation is cancelled again."""


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
        return
    reason = cell._extra.reason if cell._extra is not None else None
    cell._system._dead_letter(item, cell, reason)


# -- failing


def fail(cell: "ActorRef", error: BaseException, *, leaving: bool, told: bool = False) -> None:
    """A crash: of a handler that has just ended (`leaving`), a hook or a background task.

    `told` says that no asker gets the error, so that it has to be logged.
    """
    if cell._state >= HELD:
        if told:
            report(cell, error)
        return
    extra = hold(cell, HELD, leaving=leaving)
    extra.reason = error
    if extra.busy:
        cell._interrupt()
    if told:
        report(cell, error)
    cell._system._emit("failed", cell, error)
    if extra.links:
        break_links(cell, error)
    decide(cell, error)


def decide(cell: "ActorRef", error: BaseException | None) -> None:
    """What becomes of a held child: started again or ended, alone or with its siblings."""
    parent = cell._parent
    policy = cell._policy
    extra = extra_of(cell)
    if parent is None:
        cell._system._collapse(error)
        return
    if parent._state >= HELD or not restarts(policy.restart, crashed=error is not None):
        end(cell, error)
        return
    family = parent._family
    assert family is not None
    system = cell._system
    spec = family.spec
    now = system._backend.now()
    if family.stamps is None:
        family.stamps = deque()
    if not add_restart(family.stamps, now, spec.intensity, spec.period):
        escalate(parent, cell, error)
        return
    wait = 0.0
    if spec.backoff is not None:
        if extra.delay is None:
            extra.delay = Delay()
        wait = extra.delay.next(spec.backoff, now, system.random)
    if spec.strategy != "one_for_one":
        if family.failed is None:
            family.failed = deque()
        family.failed.append((cell, wait))
        extra.job = True
        if not family.job:
            family.job = True
            system._backend.spawn(restart_group, parent)
    elif wait == 0 and trivial(cell, extra):
        renew(cell)
    else:
        start_job(cell, wait)


def escalate(parent: "ActorRef", cell: "ActorRef", error: BaseException | None) -> None:
    spec = parent._family.spec  # type: ignore[union-attr]
    failure = SupervisorFailed(parent.path, cell.path, spec.intensity, spec.period)
    failure.__cause__ = error
    parent._system._emit("escalated", parent, failure)
    fail(parent, failure, leaving=False, told=True)


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
    logger.error("%s crashed%s", cell.path, also, exc_info=error)


# -- taking an instance apart


def hold(cell: "ActorRef", state: int, *, leaving: bool = False) -> Extra:
    """Take an actor out of the run queue's hands."""
    extra = extra_of(cell)
    if cell._state == RUNNING and not leaving:
        extra.busy = True
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


def start_job(cell: "ActorRef", wait: float) -> None:
    extra_of(cell).job = True
    cell._system._backend.spawn(take_apart, cell, wait)


async def take_apart(cell: "ActorRef", wait: float) -> None:
    """Dismantle one actor; then bury it or, after `wait` seconds, start it again."""
    extra = extra_of(cell)
    if not extra.dismantled:
        await dismantle(cell, extra)
    extra.dismantled = True
    if cell._state == HELD and wait > 0:
        with anyio.CancelScope() as extra.hurry:
            await anyio.sleep(wait)
        extra.hurry = None
    extra.job = False
    if cell._state == HELD:
        renew(cell)
    elif cell._state == STOPPING:
        bury(cell)


async def dismantle(cell: "ActorRef", extra: Extra) -> None:
    """The running handler, children, background tasks, the `stopped` hook: in this order."""
    shutdown = cell._policy.shutdown
    await handler_over(cell, extra, shutdown)
    await children_over(cell, extra)
    if extra.tasks:
        for task in list(extra.tasks):
            task.scope.cancel()
        for task in list(extra.tasks):
            await task.done
    mail = cell._mail
    pending = bool(mail) and mail[0] is START  # type: ignore[index]
    if pending:
        mail.popleft()  # type: ignore[union-attr]
        if not mail:
            cell._mail = None
    elif cell._kind.has_stopped:
        await run_stopped(cell, SHUTDOWN if shutdown is None and extra.killed else shutdown)


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


def deadline(seconds: float | None) -> float:
    return anyio.current_time() + seconds if seconds is not None else float("inf")


async def children_over(cell: "ActorRef", extra: Extra) -> None:
    family = cell._family
    if family is not None and family.hurry is not None:
        family.hurry.cancel()
    while family is not None and family.children:
        last_first = list(family.children.values())[::-1]
        for child in last_first:
            end(child, None, kill=extra.killed)
            if family.ordered and not extra.killed:
                await gone(child)
        for child in last_first:
            await gone(child)


async def run_stopped(cell: "ActorRef", seconds: float | None) -> None:
    with anyio.CancelScope(deadline=deadline(seconds)) as scope:
        try:
            await cell._actor.stopped()
        except Exception as error:  # noqa: BLE001 - the boundary: a hook's fault ends the hook
            report(cell, error)
            cell._system._emit("failed", cell, error)
    if scope.cancelled_caught:
        logger.warning("%s: stopped() was cut short after %s s", cell.path, seconds)


# -- starting again


def renew(cell: "ActorRef") -> None:
    """Give a held actor a new instance, behind the same address and mailbox."""
    extra = extra_of(cell)
    extra.restarts += 1
    try:
        actor = cell._factory()
    except Exception as error:  # noqa: BLE001 - the boundary: it is a failure of the child
        report(cell, error)
        cell._system._emit("failed", cell, error)
        extra.dismantled = True
        extra.reason = error
        cell._system._backend.call_soon(partial(retry, cell, error))
        return
    extra.dismantled = False
    extra.reason = None
    cell._actor = actor
    actor.context = cell._system._new_context(cell)
    cell._system._emit("restarted", cell, None)
    if cell._kind.has_started:
        if cell._mail is None:
            cell._mail = deque((START,))
        else:
            cell._mail.appendleft(START)
    else:
        came_up(cell)
    cell._by = None
    if not cell._mail:
        cell._mail = None
        cell._state = IDLE
    else:
        cell._system._scheduler.add(cell)


def retry(cell: "ActorRef", error: Exception) -> None:
    """A turn of the loop later, so that a factory that always fails holds nothing up."""
    if cell._state == HELD and not extra_of(cell).job:
        decide(cell, error)


async def restart_group(parent: "ActorRef") -> None:
    """one_for_all and rest_for_one: work off the failures of a family, one after the other."""
    family = parent._family
    assert family is not None
    assert family.failed is not None
    while family.failed:
        failed, wait = family.failed.popleft()
        if failed._state == DEAD or failed._name not in family.children:
            continue
        members = affected(family.spec.strategy, list(family.children.values()), failed)
        for cell in reversed(members):
            await halt_member(cell, failed)
        if wait > 0 and parent._state < HELD:
            with anyio.CancelScope() as family.hurry:
                await anyio.sleep(wait)
            family.hurry = None
        for cell in members:
            if not await revive_member(cell, parent):
                break
    family.job = False


async def halt_member(cell: "ActorRef", failed: "ActorRef") -> None:
    if cell is not failed and cell._policy.restart == "temporary":
        end(cell, None)
        await gone(cell)
        return
    if cell._state >= STOPPING:
        await gone(cell) if cell is not failed else None
        if cell._state == DEAD:
            return
    elif cell is not failed and cell._state < HELD:
        extra = hold(cell, HELD)
        extra.job = True
    extra = extra_of(cell)
    if extra.dismantled:
        return
    await dismantle(cell, extra)
    extra.dismantled = True
    if cell._state == STOPPING:
        extra.job = False
        bury(cell)


async def revive_member(cell: "ActorRef", parent: "ActorRef") -> bool:
    """False if it failed at once: its failure is queued, and halts the others anew."""
    if cell._state != HELD:
        return True
    extra_of(cell).job = False
    if parent._state >= HELD:
        end(cell, None)
        return True
    renew(cell)
    if not is_up(cell) and cell._state < HELD:
        await change(cell)
    return cell._state < HELD or cell._state >= STOPPING


# -- ending


def end(cell: "ActorRef", reason: BaseException | None, *, kill: bool = False) -> None:
    """Begin the end, or hasten the one that is under way."""
    if cell._state == DEAD:
        return
    extra = extra_of(cell)
    if kill:
        extra.killed = True
    if cell._state == STOPPING:
        if kill:
            hasten(cell, extra)
        return
    was_held = cell._state == HELD
    if extra.reason is None:
        extra.reason = reason
    if was_held and extra.job:
        cell._state = STOPPING
        refuse_mail(cell)
        if extra.dismantled:
            extra.job = False
            if extra.hurry is not None:
                extra.hurry.cancel()
            bury(cell)
        elif kill:
            hasten(cell, extra)
        return
    if was_held:
        cell._state = STOPPING
    else:
        hold(cell, STOPPING)
    refuse_mail(cell)
    if extra.busy and kill:
        cell._interrupt()
    if trivial(cell, extra):
        bury(cell)
    else:
        start_job(cell, 0.0)


def hasten(cell: "ActorRef", extra: Extra) -> None:
    if extra.hurry is not None:
        extra.hurry.cancel()
    if extra.busy:
        cell._interrupt()
    if cell._family is not None:
        for child in list(cell._family.children.values())[::-1]:
            end(child, None, kill=True)


def refuse_mail(cell: "ActorRef") -> None:
    """Fail everything that waits: dead letters, and errors for askers."""
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


def bury(cell: "ActorRef") -> None:
    """The last step: nothing of it runs any more; tell those who wait for that."""
    cell._state = DEAD
    refuse_mail(cell)
    cell._mail = None
    system = cell._system
    system._population -= 1
    extra = extra_of(cell)
    parent = cell._parent
    if parent is not None and parent._family is not None:
        parent._family.children.pop(cell._name, None)
    del cell._actor
    cell._family = None
    system._emit("stopped", cell, extra.reason)
    if extra.watching:
        for watched in extra.watching:
            if watched._extra is not None and watched._extra.monitors:
                watched._extra.monitors.pop(cell, None)
    if extra.monitors:
        for watcher in extra.monitors:
            forget(watcher, cell)
            watcher._post(Down(cell, extra.reason))
        extra.monitors = None
    if extra.links:
        break_links(cell, extra.reason)
    for future in (*(extra.ended or ()), *(extra.up or ())):
        if not future.done():
            future.set_result(None)
    extra.ended = extra.up = None
    if cell._policy.significant and parent is not None and parent._state < HELD:
        end(parent, None)


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


def stop_self(cell: "ActorRef") -> None:
    """A normal end, decided by the actor: after the current message, by its restart type."""
    if cell._state >= HELD:
        return
    parent = cell._parent
    if cell._policy.restart != "permanent" or parent is None or parent._state >= HELD:
        end(cell, None)
        return
    hold(cell, HELD)
    decide(cell, None)


# -- coming up


def is_up(cell: "ActorRef") -> bool:
    """Whether its `started` hook, if any, is done."""
    if cell._state >= HELD:
        return False
    mail = cell._mail
    if mail and mail[0] is START:
        return False
    by = cell._by
    return not (cell._state == RUNNING and getattr(by, "root", None) is cell
                and getattr(by, "ask", None) is START)  # fmt: skip


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


async def ready(cell: "ActorRef") -> None:
    while not is_up(cell):
        if cell._state >= STOPPING:
            raise stopped_error(cell)
        await change(cell)


# -- background tasks


def start_task(
    cell: "ActorRef",
    function: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    name: str | None,
) -> None:
    extra = extra_of(cell)
    task = Background(
        str(name or getattr(function, "__name__", "task")), cell._system._backend.future()
    )
    if extra.tasks is None:
        extra.tasks = {}
    extra.tasks[task] = None
    cell._system._backend.spawn(run_task, cell, task, function, args)


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
        fail(cell, error, leaving=False, told=True)
    finally:
        extra.tasks.pop(task, None)
        if not task.done.done():
            task.done.set_result(None)


# -- monitors and links


def monitor(watcher: "ActorRef", ref: "ActorRef") -> None:
    if ref._state == DEAD:
        watcher._post(Down(ref, ref._extra.reason if ref._extra is not None else None))
        return
    extra = extra_of(ref)
    if extra.monitors is None:
        extra.monitors = {}
    extra.monitors[watcher] = None
    mine = extra_of(watcher)
    if mine.watching is None:
        mine.watching = {}
    mine.watching[ref] = None


def demonitor(watcher: "ActorRef", ref: "ActorRef") -> None:
    if ref._extra is not None and ref._extra.monitors:
        ref._extra.monitors.pop(watcher, None)
    forget(watcher, ref)


def forget(watcher: "ActorRef", ref: "ActorRef") -> None:
    if watcher._extra is not None and watcher._extra.watching:
        watcher._extra.watching.pop(ref, None)


def link(cell: "ActorRef", ref: "ActorRef") -> None:
    if ref._state >= STOPPING:
        raise stopped_error(ref)
    for one, other in ((cell, ref), (ref, cell)):
        extra = extra_of(one)
        if extra.links is None:
            extra.links = {}
        extra.links[other] = None


def unlink(cell: "ActorRef", ref: "ActorRef") -> None:
    for one, other in ((cell, ref), (ref, cell)):
        if one._extra is not None and one._extra.links:
            one._extra.links.pop(other, None)


def break_links(cell: "ActorRef", error: BaseException | None) -> None:
    extra = extra_of(cell)
    links, extra.links = extra.links, None
    for other in links or ():
        unlink(other, cell)
        if error is not None:
            failure = ActorError(f"linked {cell.path} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            fail(other, failure, leaving=False, told=True)
