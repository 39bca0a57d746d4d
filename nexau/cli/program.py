"""How a command runs: logs, event loop, garbage collector, and errors that become exit codes."""

import errno
from collections.abc import Awaitable, Callable
from typing import Literal

import typer

import nexau
from nexau import logs
from nexau.actors._backend import run
from nexau.cli.exits import FAILED, INTERRUPTED, OK, WRONG, say
from nexau.journal.files import FULL
from nexau.secrets.redaction import SECRETS
from nexau.transports.lines import LinesNotWritten
from nexau.tuning import raise_open_files, tune_gc


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
    except* (
        nexau.DefinitionError,
        nexau.ToolsUnavailable,
        nexau.WorkerDied,
        OSError,
        KeyboardInterrupt,
    ) as group:
        code = _told(first_of(group))
    raise typer.Exit(code)


def _told(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return OK
    if isinstance(error, LinesNotWritten):
        say(f"error: {cut_short(error)}")
        return FAILED
    if not isinstance(error, nexau.DefinitionError):
        say(f"error: {error}")
        return FAILED
    text = str(error)
    # Problems of a file, one a line, begin with its name, where an editor looks for it.
    say(f"error:\n{text}" if "\n" in text else f"error: {text}")
    return WRONG


def cut_short(error: LinesNotWritten) -> str:
    """What could not be written, why, and what of it is there."""
    lines = "1 whole line is" if error.whole == 1 else f"{error.whole:,} whole lines are"
    return f"{error.filename} could not be written to the end: {fault_of(error)}; {lines} there"


def fault_of(error: OSError) -> str:
    """A disk's fault, in words."""
    if error.errno in FULL:
        return f"the disk is full ({error.strerror})"
    return f"the disk fails ({error.strerror})" if error.errno == errno.EIO else str(error.strerror)


def first_of(error: BaseException) -> BaseException:
    """Of a group, the first that is none."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
