"""The endpoints of one model: which of them a conversation goes to, and when.

Nothing here waits or asks the clock; `OpenAIChat` does.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from nexau.models.pacing import Health, HealthState, Rate, RetryBudget
from nexau.transports.adaptive import Adaptive, Gate, GateStatistics
from nexau.transports.http import public_url
from nexau.transports.protocol import Usage

PATIENCE = 10.0
"""Seconds of an asked wait from which another endpoint is preferred."""
_BYTES_A_TOKEN = 4
_SMOOTHING = 0.1


class EndpointStatistics(Struct, frozen=True):
    url: str
    health: HealthState
    in_flight: int
    waiting: int
    """Requests that a rate limit or an asked wait holds back."""
    requests: int
    """Attempts sent."""
    failures: int
    """Of these, without a turn."""
    refusals: int
    """Of these, with status 429."""
    input_tokens: int
    output_tokens: int
    held_until: float
    """Seconds on the event loop's clock; 0 where no wait has been asked for."""
    retry_budget: float
    gate: GateStatistics | None = None
    """Where requests at once are bounded."""


def gate_of(in_flight: int | Literal["auto"] | None) -> Gate | None:
    """Lets so many in at once; `auto` as many as bring more answers a second."""
    if in_flight is None:
        return None
    if in_flight == "auto":
        return Gate(Adaptive())
    return Gate(Adaptive(in_flight, least=in_flight, most=in_flight))


class Pace:
    """What is known of an endpoint, shared by all models that use it with the same key."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        in_flight: int | Literal["auto"] | None = None,
    ) -> None:
        self.gate = gate_of(in_flight)
        self.health = Health()
        self.retries = RetryBudget()
        self.held_until = 0.0
        self.in_flight = 0
        self.waiting = 0
        self.requests = self.failures = self.refusals = 0
        self.input_tokens = self.output_tokens = 0
        self._requests = Rate(requests_per_minute) if requests_per_minute else None
        self._tokens = Rate(tokens_per_minute) if tokens_per_minute else None
        self._answer = 0.0
        """Output tokens of a turn, smoothed."""

    def estimate(self, body: int) -> float:
        """Tokens that a request with a body of so many bytes will be counted as."""
        return body / _BYTES_A_TOKEN + self._answer

    def wait(self, now: float, tokens: float) -> float:
        """Seconds until a request could be sent."""
        wait = max(0.0, self.held_until - now)
        if self._requests is not None:
            wait = max(wait, self._requests.wait(now, 1.0))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(now, tokens))
        return wait

    def reserve(self, now: float, tokens: float) -> float:
        """Takes one request and its tokens out of the rates; returns the seconds to wait."""
        wait = self._requests.reserve(now, 1.0) if self._requests is not None else 0.0
        if self._tokens is not None:
            wait = max(wait, self._tokens.reserve(now, tokens))
        return wait

    def put_back(self, tokens: float) -> None:
        """A reserved request that was never sent."""
        if self._requests is not None:
            self._requests.put_back(1.0)
        if self._tokens is not None:
            self._tokens.put_back(tokens)

    def sent(self) -> None:
        self.in_flight += 1
        self.requests += 1
        self.retries.saw_in_flight(self.in_flight)

    def leave(self, now: float, *, failed: bool = False, counts: bool = True) -> None:
        """A request that was let in has ended."""
        if self.gate is not None:
            self.gate.leave(now, failed=failed, counts=counts)

    def answered(self, tokens: float, usage: Usage) -> None:
        """A turn. `tokens` is what was reserved for it."""
        self.health.succeeded()
        self.retries.succeeded()
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if usage.output_tokens:
            self._answer += (usage.output_tokens - self._answer) * _SMOOTHING
        used = usage.input_tokens + usage.output_tokens
        if self._tokens is not None and used:
            self._tokens.put_back(tokens - used)

    def failed(
        self,
        tokens: float,
        now: float,
        *,
        sent: float,
        status: int | None,
        outright: bool = False,
        blamed: bool = True,
    ) -> None:
        """An attempt without a turn. `tokens` is what was reserved for it.

        Of statuses, 5xx and a 200 that holds no completion speak of the endpoint's health; all
        others of the request, or of the load.
        """
        self.failures += 1
        self.refusals += status == 429
        if self._tokens is not None:
            self._tokens.put_back(tokens)
        if not blamed:
            return
        if status is None or status == 200 or status >= 500:
            self.health.failed(now, sent=sent, outright=outright)
        elif status != 429:
            self.health.succeeded()

    def hold(self, until: float) -> None:
        self.held_until = max(self.held_until, until)

    def may_retry(self, now: float, *, asked: bool) -> bool:
        """Takes a retry out of the budget. `asked`: the endpoint has said when, so the wait bounds
        the load."""
        return self.health.admit(now) and (asked or self.retries.take(now))


class SecretHeaders(dict[str, str]):
    """Holds the key, so it does not show what it holds: tracebacks may print local variables."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class Endpoint:
    """Where requests go, and with what headers."""

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        weight: float = 1.0,
        pace: Pace | None = None,
    ) -> None:
        self.url = completions_url(base_url)
        self.weight = weight
        self.pace = pace if pace is not None else Pace()
        self.headers = SecretHeaders(
            {"content-type": "application/json", "accept-encoding": "identity"}
        )
        if key:
            self.headers["authorization"] = f"Bearer {key}"
        self.headers.update({name.lower(): value for name, value in (headers or {}).items()})
        self.secrets = _secrets(key, headers or {})
        host = urlsplit(base_url).hostname or ""
        # OpenAI's reasoning models refuse the older name, which most other endpoints know alone.
        newer = host == "api.openai.com" or host.endswith(".openai.azure.com")
        self.max_tokens = b"max_completion_tokens" if newer else b"max_tokens"

    def statistics(self) -> EndpointStatistics:
        pace = self.pace
        return EndpointStatistics(
            public_url(self.url), pace.health.state, pace.in_flight, pace.waiting, pace.requests,
            pace.failures, pace.refusals, pace.input_tokens, pace.output_tokens, pace.held_until,
            pace.retries.level, pace.gate.statistics() if pace.gate is not None else None,
        )  # fmt: skip


def choose(
    endpoints: Sequence[Endpoint],
    key: str,
    now: float,
    *,
    deadline: float | None = None,
    failed: Endpoint | None = None,
) -> Endpoint:
    """The endpoint for the conversation `key`: always the same one, as long as it is of use.

    Weighted rendezvous hashing: while an endpoint is out of use its conversations spread over the
    others by weight, and all other conversations stay where they are. Out of use is one that is
    unhealthy, or that asks for a wait past `PATIENCE` or the deadline. A turn does not probe the
    endpoint where it has just `failed`. Where none is of use it is the first by rank.
    """
    if len(endpoints) == 1:
        return endpoints[0]
    ranked = sorted(endpoints, key=lambda each: _rank(each, key), reverse=True)
    patience = PATIENCE if deadline is None else min(PATIENCE, deadline - now)
    for endpoint in ranked:
        health = endpoint.pace.health
        usable = health.state == "healthy" or (endpoint is not failed and health.usable(now))
        if usable and endpoint.pace.held_until - now < patience:
            return endpoint
    return ranked[0]


def _rank(endpoint: Endpoint, key: str) -> float:
    digest = hashlib.blake2b(f"{endpoint.url}\n{key}".encode("utf-8", "replace"), digest_size=7)
    # 53 bits or more would round up to 1, whose logarithm is 0.
    chance = ((int.from_bytes(digest.digest()) >> 4) + 0.5) / 2**52
    return -endpoint.weight / math.log(chance)


def completions_url(base_url: str) -> str:
    """`base_url` with `/chat/completions` after its path; a query stays where it is."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _secrets(key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What no message may show, in the forms an endpoint may echo it in; longest first."""
    plain = {key or "", *headers.values()}
    # `Bearer abc` hides `abc` alone too.
    plain |= {word for value in headers.values() for word in value.split()}
    forms = {form for text in plain for form in (text, _escaped(text))}
    return tuple(sorted((form for form in forms if len(form) >= 4), key=len, reverse=True))


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
