"""The garbage collector, for a process that is its owner's alone. The kernel never touches it by
itself: a host's settings are the host's."""

import gc
from collections.abc import Callable

YOUNG = 50_000
"""Objects made before the youngest generation is collected; CPython's own 700 costs a busy run
several percent, and half the time of starting many actors."""
OLDER = 20


def tune_gc(young: int = YOUNG) -> Callable[[], None]:
    """Collect once, take all that is alive out of the collector's sight, have it run less often.

    Call it when start-up is over. Frozen objects are freed by reference counts only. Returns what
    takes it back.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, OLDER, OLDER)

    def undo() -> None:
        gc.unfreeze()
        gc.set_threshold(*before)

    return undo
