"""What the official session logs of a server's mistakes: one line a second, with no traceback.

It logs each notification that it cannot read, with its traceback, so a server could fill the logs
and hold the loop by sending nothing else.
"""

import logging
import time

from mcp.client import session

_SECONDS = 1.0


class Sparing(logging.Filter):
    """Lets one record of each kind through in a second, without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        """When a record of this format was let through."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.pathname != session.__file__:
            return True  # Its logger is named "client", which may be somebody else's name too.
        now = time.monotonic()
        if now - self._last.get(str(record.msg), -_SECONDS) < _SECONDS:
            return False
        self._last[str(record.msg)] = now
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            record.msg = f"{record.getMessage()} ({type(error).__name__})"
            record.args = None
            record.exc_info = None
        return True


def spare() -> None:
    """Let the session's own logger be sparing from now on; more than once is no more than once."""
    sdk = logging.getLogger("client")
    if not any(isinstance(each, Sparing) for each in sdk.filters):
        sdk.addFilter(Sparing())
