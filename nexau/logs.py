"""Logs to stderr: readable on a terminal, JSON lines otherwise.

For programs to call; the library never does. The standard library's loggers (mcp, aiohttp,
asyncio) come out in the same form. Secrets do not come out at all: neither under a name that says
it is one, nor as the value of an environment variable that holds one, wherever in a text it
stands.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from nexau.secrets.forms import REDACTED
from nexau.secrets.redaction import SECRETS, Secrets, is_secret_name
from nexau.transports.visible import visible

Level = Literal["debug", "info", "warning", "error", "critical"]

_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)


def configure(level: Level = "warning", *, environ: Mapping[str, str] = os.environ) -> None:
    """Send structlog's and the standard library's logs to stderr, from `level` up.

    Redacts the values that the variables of `environ` with a secret's name have now.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        structlog.processors.StackInfoRenderer(),
        *([] if level == "debug" else [_without_traceback]),
        structlog.processors.format_exc_info,
        Redactor(environ),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in environ)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[_name, *shared, _copy, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=True,
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _copy,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.captureWarnings(True)


class _Copy:
    """A processor that writes every line to a file as well, as JSON, while there is one."""

    def __init__(self) -> None:
        self.file: IO[str] | None = None
        self._render = structlog.processors.JSONRenderer()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if self.file is not None:
            try:
                self.file.write(str(self._render(logger, method, dict(event))) + "\n")
                self.file.flush()
            except OSError:
                self.file = None  # a full disk: stderr has it
        return event


_copy = _Copy()


@contextmanager
def copied_to(path: Path) -> Iterator[None]:
    """While the block runs, what is logged also goes to the end of a file. Raises OSError."""
    file = path.open("a", encoding="utf-8")
    _copy.file = file
    try:
        yield
    finally:
        _copy.file = None
        with suppress(OSError):  # a full disk, as above
            file.close()


_OUTSIDE = frozenset({"ConnectionFailed", "ProcessError", "SessionLost", "ToolsUnavailable"})
"""Errors that are no fault of a program's, and whose text says all. By name, because importing
them takes most of a second."""


def _without_traceback(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    info = event.get("exc_info")
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException) and type(error).__name__ in _OUTSIDE:
        del event["exc_info"]
        event["error"] = str(error)
    return event


class Redactor:
    """A structlog processor that takes secrets out. Runs after exceptions have become text."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._secrets = Secrets()
        self._secrets.add_named(environ)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        return {key: self._clean(key, value) for key, value in event.items()}

    def _clean(self, key: object, value: Any) -> Any:
        if isinstance(key, str) and value is not None and is_secret_name(key):
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {inner: self._clean(inner, item) for inner, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(None, item) for item in value]
        return value

    def text(self, text: str) -> str:
        """`text` without the secrets in it, nor what commands a terminal."""
        text = SECRETS.text(self._secrets.text(visible(text)))
        return _BEARER.sub(rf"\1 {REDACTED}", text)


def _name(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if logger.name:
        event.setdefault("logger", logger.name)
    return event


class _StderrLogger:
    """Looks `sys.stderr` up at every line: a progress bar puts itself in its place."""

    def __init__(self, *args: Any) -> None:
        self.name = args[0] if args else None

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError, TypeError):
            self.handleError(record)
