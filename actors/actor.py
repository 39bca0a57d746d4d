"""What a user of the kernel writes: `Actor`, and what it is handed: its `Context`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from msgspec import Struct

from nexau.actors import _bonds as bonds
from nexau.actors._background import start_task
from nexau.actors._lifecycle import stop_self
from nexau.actors._states import STOPPING
from nexau.actors.errors import ActorStopped, Refused, UnhandledMessage
from nexau.actors.signals import Down
from nexau.actors.specs import (
    DEFAULT_SUPERVISION,
    MAILBOX,
    ChildSpec,
    RestartType,
    SupervisorSpec,
)

if TYPE_CHECKING:
    from nexau.actors._family import Background
    from nexau.actors.pool import PoolRef
    from nexau.actors.ref import ActorRef
    from nexau.actors.supervisor import SupervisorRef
    from nexau.actors.system import ActorSystem


Factory: TypeAlias = "Callable[[], Actor] | ChildSpec | SupervisorSpec"
"""What `spawn` starts: an actor, or a whole supervisor."""


class Context(Struct, eq=False):
    """An actor's way to the kernel. Valid while its instance lives."""

    _ref: "ActorRef"

    @property
    def ref(self) -> "ActorRef":
        return self._ref

    @property
    def parent(self) -> "ActorRef":
        """The actor that supervises this one."""
        return self._ref._parent or self._ref

    @property
    def system(self) -> "ActorSystem":
        return self._ref._system

    @property
    def name(self) -> str:
        return self._ref.name

    @property
    def children(self) -> "tuple[ActorRef, ...]":
        """In the order in which they were started."""
        family = self._ref._family
        return tuple(family.children.values()) if family is not None else ()

    def spawn(
        self,
        factory: Factory,
        name: str | None = None,
        *,
        restart: RestartType = "temporary",
        mailbox: int = MAILBOX,
    ) -> "ActorRef":
        """Start a child. Raises what the factory raises, `ValueError` on a name that is taken."""
        return self._ref._system._spawn_child(self._ref, factory, name, restart, mailbox)

    def supervise(
        self, spec: SupervisorSpec, name: str | None = None, *, restart: RestartType = "permanent"
    ) -> "SupervisorRef":
        """Start a supervisor as a child. Its children start in its own time, in order."""
        return self._ref._system._supervise(self._ref, spec, name, restart)

    def pool(
        self,
        factory: "Callable[[], Actor]",
        name: str | None = None,
        *,
        size: int,
        mailbox: int = MAILBOX,
    ) -> "PoolRef":
        """Start a pool of up to `size` workers as a child."""
        return self._ref._system._pool(self._ref, factory, name, size, mailbox)

    def start_soon(
        self, function: Callable[..., Awaitable[Any]], *args: Any, name: str | None = None
    ) -> "Background":
        """Run a background task: cancelled and awaited when this instance ends; its exception is
        a crash of the actor. What it returns can cancel it. Raises `ActorStopped` once the actor
        stops."""
        if self._ref._state >= STOPPING:
            raise ActorStopped(self._ref.path)
        return start_task(self._ref, function, args, name)

    def monitor(self, ref: "ActorRef") -> None:
        """Have one `Down` put into the mailbox when `ref` ends for good, at once if it has."""
        bonds.monitor(self._ref, ref)

    def demonitor(self, ref: "ActorRef") -> None:
        """Take `monitor` back. A `Down` that is in the mailbox already stays there."""
        bonds.demonitor(self._ref, ref)

    def link(self, ref: "ActorRef") -> None:
        """Fail together: a crash or kill of one fails the other."""
        bonds.link(self._ref, ref)

    def unlink(self, ref: "ActorRef") -> None:
        bonds.unlink(self._ref, ref)

    def stop_self(self) -> None:
        """End normally after the current message. A permanent actor is started again."""
        stop_self(self._ref)


class _ContextOf:
    """`Actor.context`, made when it is first used: most of a million idle actors never do."""

    def __get__(self, actor: "Actor", _owner: object = None) -> Context:
        context = Context(actor._actor_ref)
        object.__setattr__(actor, "context", context)
        return context


class Actor:
    """Behaviour behind a mailbox. One instance lives from a start to the next stop or restart."""

    __slots__ = ("__dict__", "__weakref__", "_actor_ref")

    _actor_ref: "ActorRef"
    """Set by the kernel before `started`."""
    context = _ContextOf()
    """The way to the kernel: children, background tasks, monitors. Not yet there in `__init__`."""
    supervision: ClassVar[SupervisorSpec] = DEFAULT_SUPERVISION
    """How children from `context.spawn` are supervised; its `children` are not looked at."""
    refuses: ClassVar[tuple[type[Exception], ...]] = ()
    """Errors that are replies when `receive` raises them, and no crashes."""
    expected: ClassVar[tuple[type[BaseException], ...]] = ()
    """Crashes whose text says all: logged in one line, without a traceback."""

    async def started(self) -> None:
        """Runs before the first message. An exception is a crash."""

    async def receive(self, message: Any) -> Any:
        """Handle one message; the value answers an ask."""
        self.unhandled(message)

    async def stopped(self) -> None:
        """Runs at the end of every instance, before a restart too; bounded by `shutdown`."""

    def unhandled(self, message: Any) -> None:
        """For the last branch of a `receive`. Always raises `UnhandledMessage`: a crash on `Down`,
        whose meaning is that something was lost, else a refusal."""
        error = UnhandledMessage(self.context.ref.path, message)
        if isinstance(message, Down):
            raise error from message.reason
        raise Refused(error)
