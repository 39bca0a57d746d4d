"""Settings of a process that is ours alone: the command line, and workers."""

import resource

from nexau.actors.collector import tune_gc

__all__ = ["raise_open_files", "tune_gc"]

OPEN_FILES = 65_536
"""Enough for 16,000 sessions; more would slow down children that close all they inherit."""


def raise_open_files() -> None:
    """Raises the soft limit of open files: a stdio session takes four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
