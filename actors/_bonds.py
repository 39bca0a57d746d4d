"""Monitors and links between actors."""

from typing import TYPE_CHECKING

from nexau.actors._cell import extra_of, stopped_error
from nexau.actors._states import DEAD, STOPPING
from nexau.actors.errors import ActorError
from nexau.actors.signals import Down

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


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


def cut_links(cell: "ActorRef", error: BaseException) -> "list[tuple[ActorRef, ActorError]]":
    """Take all links of a failed actor away; whom they fail, and with what."""
    links = extra_of(cell).links
    victims = []
    for other in list(links or ()):
        unlink(cell, other)
        failure = ActorError(f"linked {cell.path} failed: {type(error).__name__}: {error}")
        failure.__cause__ = error
        victims.append((other, failure))
    return victims


def tell_watchers(cell: "ActorRef") -> None:
    """At the end of an actor: `Down` to whoever monitors it, and its own monitors are gone."""
    extra = extra_of(cell)
    for watched in extra.watching or ():
        if watched._extra is not None and watched._extra.monitors:
            watched._extra.monitors.pop(cell, None)
    for watcher in extra.monitors or ():
        forget(watcher, cell)
        watcher._post(Down(cell, extra.reason))
    extra.watching = extra.monitors = None
