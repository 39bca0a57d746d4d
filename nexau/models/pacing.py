"""When an endpoint may be asked: rates, health, and a budget of retries.

Pure arithmetic: `now` is an argument, in seconds on any clock that does not run backwards.
"""

from typing import Literal

COOLDOWN = 0.1
LONGEST_COOLDOWN = 10.0
"""Seconds that an unhealthy endpoint is left alone: doubled with each probe that fails."""
FAILURES = 5
"""In a row, without a success between them, that make an endpoint unhealthy."""
RETRIES_AT_ONCE = 100.0
RETRIES_A_SECOND = 10.0
RETRIES_A_SUCCESS = 0.5


class Rate:
    """So many a minute: a token bucket that holds a second's worth, and at least one.

    A second's worth because endpoints enforce their limits over shorter times than the minute that
    they are given for. What is reserved is taken at once, into debt where there is less, so those
    who wait are served in the order in which they came and nobody needs to be woken.
    """

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._burst = max(1.0, self._rate)
        self._level = self._burst
        self._at: float | None = None

    def wait(self, now: float, amount: float) -> float:
        """Seconds that `reserve` would return."""
        return max(0.0, (min(amount, self._burst) - self._filled(now)) / self._rate)

    def reserve(self, now: float, amount: float) -> float:
        """Takes `amount`; returns the seconds to wait before it may be used.

        More than the bucket holds is let through when it is full, and waited for by those after.
        """
        seconds = self.wait(now, amount)
        self._level = self._filled(now) - amount
        self._at = now
        return seconds

    def put_back(self, amount: float) -> None:
        """What was reserved and not used; takes more where `amount` is negative."""
        self._level = min(self._burst, self._level + amount)

    def _filled(self, now: float) -> float:
        if self._at is None:
            return self._level
        return min(self._burst, self._level + max(0.0, now - self._at) * self._rate)


HealthState = Literal["healthy", "unhealthy"]


class Health:
    """A circuit breaker: open after so many failures in a row, or one failure that says enough.

    While open it lets one probe through each time its cooldown has passed. Any success closes it,
    also that of a request sent before.
    """

    def __init__(self, failures: int = FAILURES) -> None:
        self._bound = failures
        self._failures = 0
        self._cooldown = 0.0
        """0 while closed."""
        self._since = 0.0
        """When it opened, or let the last probe through."""
        self._probing = False

    @property
    def state(self) -> HealthState:
        return "unhealthy" if self._cooldown else "healthy"

    def usable(self, now: float) -> bool:
        return not self._cooldown or now >= self._since + self._cooldown

    def admit(self, now: float) -> bool:
        """Whether a request may be sent. One that is let through while open is the probe."""
        if not self.usable(now):
            return False
        if self._cooldown:
            self._since = now
            self._probing = True
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._cooldown = 0.0

    def failed(self, now: float, *, sent: float, outright: bool = False) -> None:
        """`sent` is when the failed request was: those that were under way when the breaker opened
        say nothing new. `outright` for a failure that needs no second one, such as a connection
        refused."""
        self._failures += 1
        if self._cooldown:
            if self._probing and sent >= self._since:
                self._open(now, min(LONGEST_COOLDOWN, self._cooldown * 2))
        elif outright or self._failures >= self._bound:
            self._open(now, COOLDOWN)

    def _open(self, now: float, cooldown: float) -> None:
        self._cooldown = cooldown
        self._since = now
        self._probing = False


class RetryBudget:
    """Bounds retries to half of the successes, plus 10 a second, plus a burst.

    So an endpoint that fails does not get twice the load. The burst is 100, or as many as have been
    in flight at once, because all of those may break off together when a server restarts.
    """

    def __init__(self) -> None:
        self._capacity = RETRIES_AT_ONCE
        self._level = RETRIES_AT_ONCE
        self._at: float | None = None

    @property
    def level(self) -> float:
        """Retries that may be sent at once, as of the last one asked for."""
        return self._level

    def saw_in_flight(self, requests: int) -> None:
        if requests > self._capacity:
            self._level += requests - self._capacity
            self._capacity = float(requests)

    def succeeded(self) -> None:
        self._level = min(self._capacity, self._level + RETRIES_A_SUCCESS)

    def take(self, now: float) -> bool:
        if self._at is not None:
            gained = max(0.0, now - self._at) * RETRIES_A_SECOND
            self._level = min(self._capacity, self._level + gained)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
