"""`python pinned.py CORES COMMAND...`: the command, held to some cores (`0,2`; `-` for any)."""

import os
import sys


def hold_to(cores: str) -> None:
    """Keeps this process, and what it starts, on `cores`, where the system can do that."""
    if cores != "-" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])


if __name__ == "__main__":
    hold_to(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
