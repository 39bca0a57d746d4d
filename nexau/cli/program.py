"""How a command runs: logs, event loop, garbage collector, and errors that become exit codes."""

from collections.abc import Awaitable, Callable
from typing import Literal

import typer

import nexau
from nexau import logs
from nexau.actors._backend import run
from nexau.cli.exits import FAILED, INTERRUPTED, OK, WRONG, say
from nexau.secrets.redaction import SECRETS
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
        code = _told(_first(group))
    raise typer.Exit(code)


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
