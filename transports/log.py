"""Loggers for the library: structlog's where the host has configured it, else the standard ones.

structlog that nobody configured prints to stdout, which belongs to JSON lines. The standard
library's loggers go where the host sends them; by default, warnings go to stderr.
"""

import logging
from typing import Any

import structlog


class Logger:
    """`log.warning("event", key=value)`; decides at each line, so it may be made at import."""

    __slots__ = ("_name", "_plain")

    def __init__(self, name: str) -> None:
        self._name = name
        self._plain = logging.getLogger(name)

    def debug(self, event: str, **values: Any) -> None:
        self._log(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        self._log(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._log(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        self._log(logging.ERROR, event, values)

    def _log(self, level: int, event: str, values: dict[str, Any]) -> None:
        if structlog.is_configured():
            structlog.get_logger(self._name).log(level, event, **values)
        elif self._plain.isEnabledFor(level):
            info = values.pop("exc_info", None)
            self._plain.log(level, "%s", _render(event, values), exc_info=info)


def _render(event: str, values: dict[str, Any]) -> str:
    return " ".join([event, *(f"{key}={value!r}" for key, value in values.items())])


def get_logger(name: str) -> Logger:
    return Logger(name)
