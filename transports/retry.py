"""When to send a request again: pure arithmetic, clock and chance are arguments.

Backoff is exponential with full jitter: uniform between 0 and `min(cap, base * 2**attempt)`.
`Retry-After` is RFC 9110 section 10.2.3 (seconds or an HTTP date); `retry-after-ms` is what some
model endpoints send beside it, in milliseconds.
"""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

BASE = 0.5
CAP = 30.0
"""Seconds."""

RETRIED = frozenset({408, 409, 429, *range(500, 600)})
"""Statuses that another attempt may change."""


def backoff(attempt: int, chance: float, *, base: float = BASE, cap: float = CAP) -> float:
    """Seconds to wait after the failed attempt number `attempt`, from 0; `chance` in [0, 1)."""
    return chance * min(cap, base * 2.0 ** min(attempt, 60))


def asked_wait(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Seconds that an answer asks to wait, at least 0; None where it does not say.

    `headers` have lower-case names. `wall_clock` is seconds since the Unix epoch, used for a date
    where the answer carries no `Date` of its own to compare it with.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    # The endpoint's own clock, so that a skew between the machines does not count.
    now = _date(headers.get("date"))
    return max(0.0, until - (wall_clock if now is None else now))


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
