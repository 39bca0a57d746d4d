"""Exit codes, and the one way in which a command ends early."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, NoReturn

import typer

from nexau.secrets.redaction import SECRETS
from nexau.transports.visible import visible, visible_json

OK = 0
FAILED = 1
"""A rollout failed, a tool answered with an error, a server could not be reached."""
WRONG = 2
"""The input is wrong: an option, a file, a name."""
LIMIT = 3
"""`nexau run`: a limit ended the rollout."""
INTERRUPTED = 130
"""Ctrl-C, or SIGTERM."""


def say(message: str) -> None:
    """One line, or more, to stderr: without secrets, nor what commands a terminal."""
    typer.echo(SECRETS.text(visible(message)), err=True)


def stop(message: str, code: int = WRONG) -> NoReturn:
    """End the command: `error: ...` on stderr and an exit code."""
    say(f"error: {message}")
    raise typer.Exit(code)


def emit(line: str) -> None:
    """One line of JSON to stdout, without secrets; ends the command when nobody reads."""
    line = SECRETS.text(line)
    if sys.stdout.isatty():
        line = visible_json(line)
    with to_stdout():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@contextmanager
def to_stdout() -> Iterator[BinaryIO]:
    """stdout, for bytes. Ends the command when nobody reads (0), or it cannot be written (1)."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.filename is not None:  # of another file
            raise
        leave_stdout()
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(OK) from None
        stop(f"cannot write to stdout: {error.strerror}", FAILED)


def leave_stdout() -> None:
    """Python would flush at exit what is still buffered, and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
