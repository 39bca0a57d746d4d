"""Settings of a process that is ours alone: the command line, and workers."""

import gc
import resource

YOUNG = 50_000
"""Objects made before the youngest generation is collected; CPython's own 700 costs a busy run
several percent."""
OPEN_FILES = 65_536
"""Enough for 16,000 sessions; more would slow down children that close all they inherit."""


def tune_gc() -> None:
    """What start-up made is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def raise_open_files() -> None:
    """Raises the soft limit of open files: a stdio session takes four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
