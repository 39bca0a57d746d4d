"""Lives and deaths: what follows when an actor fails, stops or is killed.

Decisions are plain functions that run at once, in whichever task brought the news. Only what has
to wait (a running handler, children, hooks, a delay) gets a task, one for each actor concerned;
nothing goes through a mailbox, so a busy parent holds nothing up.
"""

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import anyio

from nexau.actors._bonds import cut_links, tell_watchers, unlink
from nexau.actors._cell import (
    came_up,
    change,
    extra_of,
    gone,
    hold,
    is_up,
    refuse_mail,
    report,
    trivial,
)
from nexau.actors._envelopes import NOTHING, START
from nexau.actors._family import Extra
from nexau.actors._instance import handler_over, run_stopped, tasks_over
from nexau.actors._states import DEAD, HELD, IDLE, STOPPING
from nexau.actors.errors import SupervisorFailed
from nexau.actors.specs import SHUTDOWN
from nexau.actors.supervision import Delay, add_restart, affected, restarts

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef

BATCH = 32
"""Children ended between two looks at the clock."""

# -- failing


def fail(cell: "ActorRef", error: BaseException, leaving: bool, told: bool = False) -> None:
    """A crash: of a handler that has just ended (`leaving`), a hook or a background task.

    `told` says that no asker gets the error, so that it has to be logged.
    """
    if told:
        report(cell, error)
    if cell._state >= HELD:
        return
    extra = hold(cell, HELD, leaving)
    extra.reason = error
    if extra.busy:
        cell._interrupt()
    if cell._system._hooks:
        cell._system._emit("failed", cell, error)
    if extra.links:
        for other, failure in cut_links(cell, error):
            fail(other, failure, False, True)
    decide(cell, extra, error)


def decide(cell: "ActorRef", extra: Extra, error: BaseException | None) -> None:
    """What becomes of a held child: started again or ended, alone or with its siblings."""
    parent = cell._parent
    if parent is None:
        cell._system._collapse(error)
        return
    if parent._state >= HELD or not restarts(cell._policy.restart, error is not None):
        end(cell, error)
        return
    family = parent._family
    assert family is not None
    system = cell._system
    spec = family.spec
    now = system._backend.now()
    stamps = family.stamps
    if stamps is None:
        stamps = family.stamps = deque()
    if not add_restart(stamps, now, spec.intensity, spec.period):
        escalate(parent, cell, error)
        return
    wait = 0.0
    if spec.backoff is not None:
        if extra.delay is None:
            extra.delay = Delay()
        wait = extra.delay.next(spec.backoff, now, system.random)
    if spec.strategy != "one_for_one":
        restart_with_siblings(cell, parent, wait)
    elif wait == 0 and trivial(cell, extra):
        renew(cell, extra)
    else:
        start_job(cell, wait)


def restart_with_siblings(cell: "ActorRef", parent: "ActorRef", wait: float) -> None:
    """Queue the failure for the family's one task that works such failures off."""
    family = parent._family
    assert family is not None
    if family.failed is None:
        family.failed = deque()
    family.failed.append((cell, wait))
    extra = extra_of(cell)
    extra.job = extra.group = True
    if not family.job:
        family.job = True
        cell._system._backend.spawn(restart_group, parent)


def escalate(parent: "ActorRef", cell: "ActorRef", error: BaseException | None) -> None:
    spec = parent._family.spec  # type: ignore[union-attr]
    failure = SupervisorFailed(parent.path, cell.path, spec.intensity, spec.period)
    failure.__cause__ = error
    parent._system._emit("escalated", parent, failure)
    fail(parent, failure, False, True)


# -- taking an instance apart


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
        renew(cell, extra)
    elif cell._state == STOPPING:
        bury(cell)


async def dismantle(cell: "ActorRef", extra: Extra) -> None:
    """The running handler, children, background tasks, the `stopped` hook: in this order."""
    shutdown = cell._policy.shutdown
    await handler_over(cell, extra, shutdown)
    await children_over(cell, extra)
    await tasks_over(extra)
    mail = cell._mail
    pending = bool(mail) and mail[0] is START  # type: ignore[index]
    if pending:
        mail.popleft()  # type: ignore[union-attr]
        if not mail:
            cell._mail = None
    elif cell._kind.has_stopped:
        await run_stopped(cell, SHUTDOWN if shutdown is None and extra.killed else shutdown)


async def children_over(cell: "ActorRef", extra: Extra) -> None:
    family = cell._family
    if family is not None and family.hurry is not None:
        family.hurry.cancel()
    while family is not None and family.children:
        last_first = list(family.children.values())[::-1]
        scheduler = cell._kind.scheduler
        for number, child in enumerate(last_first, 1):
            end(child, None, kill=extra.killed)
            if family.ordered and not extra.killed:
                await gone(child)
            elif number % BATCH == 0 and scheduler.overdue():  # there may be a million
                await scheduler.backend.turn()
        for child in last_first:
            await gone(child)


# -- starting again


def renew(cell: "ActorRef", extra: Extra) -> None:
    """Give a held actor a new instance, behind the same address and mailbox."""
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
    if cell._family is not None:
        cell._family.stamps = None
    cell._actor = actor
    actor._actor_ref = cell
    cell._by = None
    if cell._system._hooks:
        cell._system._emit("restarted", cell, None)
    if cell._mail is not None or cell._kind.has_started or extra.again is not NOTHING:
        first_mail(cell, extra)
    elif extra.up is not None:
        came_up(cell)
    extra.reason = None
    if cell._mail:
        cell._kind.scheduler.add(cell)
    else:
        cell._mail = None
        cell._state = IDLE


def first_mail(cell: "ActorRef", extra: Extra) -> None:
    """What a new instance finds in its mailbox: its start, the message to be tried again, and what
    waited for the instance before."""
    mail = cell._mail
    if mail and mail[0] is START:  # of an instance that never got so far
        mail.popleft()
    again, extra.again = extra.again, NOTHING
    if cell._policy.waiting == "fail":
        refuse_mail(cell)
    firsts = [] if again is NOTHING else [again]
    if cell._kind.has_started:
        firsts.insert(0, START)
    elif extra.up is not None:
        came_up(cell)
    if firsts:
        cell._mail = deque((*firsts, *(cell._mail or ())))


def retry(cell: "ActorRef", error: Exception) -> None:
    """A turn of the loop later, so that a factory that always fails holds nothing up."""
    extra = extra_of(cell)
    if cell._state == HELD and not extra.job:
        decide(cell, extra, error)


async def restart_group(parent: "ActorRef") -> None:
    """one_for_all and rest_for_one: work off the failures of a family, one after the other."""
    family = parent._family
    assert family is not None
    assert family.failed is not None
    while family.failed:
        failed, wait = family.failed.popleft()
        if extra_of(failed).group:  # not revived meanwhile, with another that failed
            for cell in reversed(
                affected(family.spec.strategy, list(family.children.values()), failed)
            ):
                await halt_member(cell, failed)
            if wait > 0 and parent._state < HELD:
                with anyio.CancelScope() as family.hurry:
                    await anyio.sleep(wait)
                family.hurry = None
        for cell in list(family.children.values()):
            if not await revive_member(cell, parent):
                break
    family.job = False


async def halt_member(cell: "ActorRef", failed: "ActorRef") -> None:
    extra = extra_of(cell)
    if cell._state == DEAD:
        return
    if cell is not failed and not extra.group:
        if cell._policy.restart == "temporary" or cell._state == STOPPING:
            end(cell, None)
            await gone(cell)
            return
        if cell._state == HELD:  # failed too, and not yet decided upon
            return
        hold(cell, HELD)
        extra.job = extra.group = True
    if extra.dismantled:
        return
    await dismantle(cell, extra)
    extra.dismantled = True
    if cell._state == STOPPING:
        extra.job = extra.group = False
        bury(cell)


async def revive_member(cell: "ActorRef", parent: "ActorRef") -> bool:
    """False if it failed at once: its failure is queued, and halts the others anew."""
    extra = extra_of(cell)
    if cell._state != HELD or not (extra.group and extra.dismantled):
        return True
    extra.job = extra.group = False
    if parent._state >= HELD:
        end(cell, None)
        return True
    renew(cell, extra)
    if not is_up(cell) and cell._state < HELD:
        await change(cell)
    return cell._state < HELD or cell._state >= STOPPING


# -- ending


def end(cell: "ActorRef", reason: BaseException | None, *, kill: bool = False) -> None:
    """Begin the end, or hasten the one that is under way."""
    if cell._state == DEAD:
        return
    extra = extra_of(cell)
    extra.killed = extra.killed or kill
    if cell._state == STOPPING:
        if kill:
            hasten(cell, extra)
    else:
        begin_end(cell, extra, reason)


def begin_end(cell: "ActorRef", extra: Extra, reason: BaseException | None) -> None:
    if extra.reason is None:
        extra.reason = reason
    if cell._state == HELD:
        cell._state = STOPPING
    else:
        hold(cell, STOPPING)
    refuse_mail(cell)
    cell._closing()
    if extra.job and not extra.dismantled:  # its task will see
        if extra.killed:
            hasten(cell, extra)
        return
    if extra.hurry is not None:  # waiting for its restart
        extra.hurry.cancel()
    extra.job = extra.group = False
    if extra.busy and extra.killed:
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
    if extra.watching or extra.monitors:
        tell_watchers(cell)
    if extra.links:
        for other, failure in cut_links(cell, extra.reason) if extra.reason is not None else ():
            fail(other, failure, False, True)
        for other in list(extra.links):
            unlink(cell, other)
    for future in (*(extra.ended or ()), *(extra.up or ())):
        if not future.done():
            future.set_result(None)
    extra.ended = extra.up = None
    if cell._policy.significant and parent is not None and parent._state < HELD:
        end(parent, None)


def stop_self(cell: "ActorRef") -> None:
    """A normal end, decided by the actor: after the current message, by its restart type."""
    if cell._state >= HELD:
        return
    parent = cell._parent
    if cell._policy.restart != "permanent" or parent is None or parent._state >= HELD:
        end(cell, None)
        return
    decide(cell, hold(cell, HELD), None)
