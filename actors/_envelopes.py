"""What lies in a mailbox beside bare messages, and what comes back to an asker."""

from typing import Any

from msgspec import Struct

from nexau.actors._backend import Future


class Ask(Struct, eq=False):
    """A message whose sender waits.

    Known to the cycle collector, unlike most small Structs here: an error's traceback holds frames
    that hold this, whose reply may hold the error.
    """

    message: Any
    reply: Future


class Unattended:
    """Base of replies that nobody waits for, so that errors and losses are noted as a tell's."""

    __slots__ = ()


class Failure(Struct, eq=False):
    """An error on its way to an asker."""

    error: BaseException


class _Start:
    """First in the mailbox of an actor that has a `started` hook to run."""


START = _Start()


class _Nothing:
    """Where an actor has no letter. A message may be anything else, None too."""


NOTHING: Any = _Nothing()


class Waiting(Struct, eq=False):
    """A message that waits for room. `room` is None for an ask, whose reply says it all."""

    item: Any
    room: Future | None
