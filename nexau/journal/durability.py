"""What a kept run promises: when its records are written, and when they are on the disk."""

from msgspec import Struct


class Durability(Struct, frozen=True):
    """What a run directory promises, and when."""

    flush: float = 0.05
    """Seconds for which records gather at most. When the process is killed, what is younger may be
    lost, and is done again then. 0: each turn is written before its calls are sent, each result
    before the model sees it."""
    sync: float | None = 1.0
    """Seconds for which written records may be lost when the machine loses power. 0: none that was
    handed on; None: as long as the operating system takes."""
