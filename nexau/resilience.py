"""Calls to a server that may be slow, away or overloaded: again, twice at once, or not at all.

Only tools that their server marks `readOnlyHint` or `idempotentHint` are called again, and only
read-only ones are sent twice at once: of others nobody knows what a second call would do.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import anyio
from msgspec.structs import replace

from nexau.definitions.values import Resilience
from nexau.models.pacing import Health, RetryBudget
from nexau.transports.protocol import Call, Result, ToolSpec, failure
from nexau.transports.retry import backoff

Send = Callable[[Call], Awaitable[Result]]

AGAIN = frozenset({"timeout", "unavailable", "protocol"})
"""Errors that another attempt may not meet."""
BASE, CAP = 0.05, 2.0
"""Of the backoff, in seconds."""


class Care:
    """Of one server, shared by its sessions."""

    def __init__(
        self, name: str, config: Resilience, *, breaks: bool, chance: random.Random
    ) -> None:
        """`breaks`: one breaker serves all sessions, so it is for those that are one server."""
        self._name = name
        self._config = config
        self._chance = chance
        self._health = Health(config.breaker) if breaks and config.breaker is not None else None
        self._budget = RetryBudget()
        self._kinds: dict[str, Literal["read", "idempotent"]] = {}
        self._retried = self._hedged = self._won = self._refused = 0

    def know(self, tools: Iterable[ToolSpec]) -> None:
        """What the server says of its tools."""
        self._kinds = {}
        for spec in tools:
            if spec.annotations.get("readOnlyHint") is True:
                self._kinds[spec.name] = "read"
            elif spec.annotations.get("idempotentHint") is True:
                self._kinds[spec.name] = "idempotent"

    @property
    def idle(self) -> bool:
        """Whether it would do nothing for any call."""
        cares = self._config.retries or self._config.hedge is not None
        return self._health is None and not (self._kinds and cares)

    async def call(self, send: Send, call: Call, gone: Callable[[], bool]) -> Result:
        """`gone`: whether the session has ended for good, so that trying again is of no use."""
        began = anyio.current_time()
        if self._health is not None and not self._health.admit(began):
            self._refused += 1
            text = f"server {self._name!r} is left alone for a while: its calls kept failing"
            return failure(call.id, "unavailable", text)
        kind = self._kinds.get(call.name)
        hedge = self._config.hedge if kind == "read" else None
        attempt = 0
        while True:
            sent = anyio.current_time()
            if hedge is None:
                result = await send(call)
            else:
                result = await self._twice(send, call, hedge)
            self._saw(result, sent)
            if kind is None or result.error_class not in AGAIN or gone():
                return result
            if attempt >= self._config.retries or not await self._wait(call, attempt):
                return result
            attempt += 1

    async def _wait(self, call: Call, attempt: int) -> bool:
        """Before another attempt; False where there is none to be."""
        now = anyio.current_time()
        wait = backoff(attempt, self._chance.random(), base=BASE, cap=CAP)
        if call.deadline is not None and now + wait >= call.deadline:
            return False
        if not self._budget.take(now):
            return False
        self._retried += 1
        await anyio.sleep(wait)
        return self._health is None or self._health.admit(anyio.current_time())

    async def _twice(self, send: Send, call: Call, hedge: float) -> Result:
        """The first good answer of the call and, from `hedge` seconds on, of another like it."""
        answers: list[Result] = []
        pending = 1

        async def run(one: Call) -> None:
            nonlocal pending
            answer = await send(one)
            pending -= 1
            answers.append(answer)
            if not answer.is_error or not pending:
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(run, call)
            await anyio.sleep(hedge)
            if self._budget.take(anyio.current_time()):
                self._hedged += 1
                pending += 1
                group.start_soon(run, replace(call, id=f"{call.id}~2"))
        best = next((each for each in answers if not each.is_error), answers[0])
        if best.id == call.id:
            return best
        self._won += 1
        return replace(best, id=call.id)

    def _saw(self, result: Result, sent: float) -> None:
        if result.error_class in AGAIN:
            if self._health is not None:
                self._health.failed(anyio.current_time(), sent=sent)
        else:
            self._budget.succeeded()
            if self._health is not None:
                self._health.succeeded()

    def statistics(self) -> dict[str, Any]:
        return {
            "health": self._health.state if self._health is not None else None,
            "refused": self._refused,
            "retried": self._retried,
            "retry_budget": self._budget.level,
            "hedged": self._hedged,
            "hedges_won": self._won,
        }
