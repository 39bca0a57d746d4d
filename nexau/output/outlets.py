"""The sinks of one run while it is under way, each with its policy."""

from collections.abc import Callable
from typing import Any

from nexau.actors import ActorRef, Context, MailboxFull
from nexau.output.sinks import Emits, Item, Outlet, Policy, Sink, SinkActor, SpillActor, Written

SINK_MAILBOX = 64


class OpenOutlet:
    """A sink's actor, and what it is to be given."""

    __slots__ = ("actor", "dropped", "emits", "policy", "ref")

    def __init__(self, actor: SinkActor, emits: Emits, policy: Policy, ref: ActorRef) -> None:
        self.actor = actor
        self.emits = emits
        self.policy = policy
        self.ref = ref
        self.dropped = 0
        """Events or steps that it had no room for."""

    async def give(self, item: Item | Written) -> None:
        """Events or steps."""
        if self.policy != "drop":
            await self.ref.tell(item)
            return
        try:
            self.ref.tell_nowait(item)
        except MailboxFull:
            self.dropped += item.count if isinstance(item, Written) else 1

    def statistics(self) -> dict[str, Any]:
        told = {"emits": self.emits, "policy": self.policy, "dropped": self.dropped}
        return told | self.actor.statistics()


def open_outlet(
    context: Context, sink: Sink, name: str, broken: Callable[[Exception], None]
) -> OpenOutlet:
    """Starts the sink's actor under the run's. `broken` is told when it cannot be written."""
    outlet = sink if isinstance(sink, Outlet) else Outlet(sink)
    actor: SinkActor
    if outlet.policy == "spill":
        actor = SpillActor(outlet.sink, broken, outlet.folder)
    else:
        actor = SinkActor(outlet.sink, broken)
    ref = context.spawn(lambda: actor, name=name, mailbox=SINK_MAILBOX)
    return OpenOutlet(actor, outlet.emits, outlet.policy, ref)
