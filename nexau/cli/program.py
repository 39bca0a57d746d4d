"""How a command runs: logs, event loop, garbage collector, and errors that become exit codes."""

import gc
import resource
from collections.abc import Awaitable, Callable
from typing import Literal

import typer

import nexau
from nexau import logs
from nexau.actors._backend import run
from nexau.cli.exits import FAILED, INTERRUPTED, OK, WRONG, say
from nexau.redaction import SECRETS

YOUNG = 50_000
"""Objects made before the youngest generation is collected; CPython's own 700 costs a busy run
several percent."""
OPEN_FILES = 65_536
"""Enough for 16,000 sessions; more would slow down children that close all they inherit."""


def start(
    main: Callable[[], Awaitable[int]],
    *,
    backend: str,
    log_level: logs.Level,
    redact: Literal["all", "known"] = "all",
) -> None:
    """Run `main` and end the command with the exit code that it returns.

    What the user did wrong is said on stderr, without a traceback: a definition or a task file
    (2), a server that cannot be had or a disk that is full (1). A reader of stdout who has gone
    is no failure (0). Anything else is a fault of ours and rises.
    """
    logs.configure(log_level)
    SECRETS.forms = redact == "all"
    tune_gc()
    raise_open_files()
    try:
        code = run(main, backend=backend)
    except* (nexau.DefinitionError, nexau.ToolsUnavailable, OSError, KeyboardInterrupt) as group:
        code = _told(_first(group))
    raise typer.Exit(code)


def tune_gc() -> None:
    """For a process that is ours alone: what start-up made is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def raise_open_files() -> None:
    """Raises the soft limit of open files: a stdio session takes four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _told(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return OK
    if not isinstance(error, nexau.DefinitionError):
        say(f"error: {error}")
        return FAILED
    text = str(error)
    # Problems of a file, one a line, begin with its name, where an editor looks for it.
    say(f"error:\n{text}" if "\n" in text else f"error: {text}")
    return WRONG


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
