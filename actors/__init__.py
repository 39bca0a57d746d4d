"""An actor kernel: supervised actors on asyncio and trio. docs/semantics.md states its contract."""

from nexau.actors._family import Background
from nexau.actors.actor import Actor, Context
from nexau.actors.collector import tune_gc
from nexau.actors.errors import (
    ActorError,
    ActorStopped,
    AskTimeout,
    Deadlock,
    Killed,
    MailboxFull,
    Refused,
    StrayCancellation,
    SupervisorFailed,
    UnhandledMessage,
)
from nexau.actors.pool import Pool, PoolRef, PoolStatistics
from nexau.actors.ref import ActorRef, ActorStatistics
from nexau.actors.signals import DeadLetter, Down, Event
from nexau.actors.specs import Backoff, ChildSpec, SupervisorSpec
from nexau.actors.supervisor import SupervisorRef, SupervisorStatistics
from nexau.actors.system import ActorSystem, SystemStatistics, open_system

__all__ = [
    "Actor",
    "ActorError",
    "ActorRef",
    "ActorStatistics",
    "ActorStopped",
    "ActorSystem",
    "AskTimeout",
    "Background",
    "Backoff",
    "ChildSpec",
    "Context",
    "DeadLetter",
    "Deadlock",
    "Down",
    "Event",
    "Killed",
    "MailboxFull",
    "Pool",
    "PoolRef",
    "PoolStatistics",
    "Refused",
    "StrayCancellation",
    "SupervisorFailed",
    "SupervisorRef",
    "SupervisorSpec",
    "SupervisorStatistics",
    "SystemStatistics",
    "UnhandledMessage",
    "open_system",
    "tune_gc",
]
