"""Limits as a tree: what an agent spends is spent by every agent above it.

All bookkeeping is synchronous, hence atomic between tasks of one loop, so agents that run at the
same time cannot pass a bound together: steps are taken before the turn, and tokens and cost are
reserved before the turn and settled after it. A reservation covers the prompt (estimated) and the
longest answer allowed, so an endpoint that honours `max_tokens` overspends by no more than the
error of the estimate.
"""

import anyio
from msgspec import Struct

from nexau.definitions.values import Price
from nexau.transports.protocol import NO_USAGE, Limits, Usage

BYTES_PER_TOKEN = 3
"""A low guess, so that an estimate of the prompt errs to the safe side (English is about 4)."""


class LimitReached(Struct, frozen=True, gc=False):
    """Why an agent may not go on."""

    limit: str
    """steps, tokens, seconds, depth or cost."""
    owner: str
    """Path of the agent whose limit it is."""
    bound: float


class Reservation(Struct, gc=False):
    """Tokens and dollars held for a turn that is under way."""

    tokens: int
    cost: float
    max_tokens: int | None
    """Output tokens that the turn may use."""


NO_RESERVATION = Reservation(0, 0.0, None)


class Budget:
    """One agent's limits and what it and all below it have spent."""

    __slots__ = (
        "_freed",
        "cost",
        "deadline",
        "deadline_owner",
        "depth",
        "held_cost",
        "held_tokens",
        "limits",
        "metered",
        "parent",
        "path",
        "steps",
        "tokens",
    )

    def __init__(
        self,
        limits: Limits,
        path: str = "root",
        parent: "Budget | None" = None,
        *,
        elapsed: float = 0.0,
    ) -> None:
        """`elapsed`: seconds that have been spent already."""
        self.limits = limits
        self.path = path
        self.parent = parent
        self.steps = 0
        self.tokens = 0
        self.cost = 0.0
        self.held_tokens = 0
        self.held_cost = 0.0
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.metered: bool = (
            limits.tokens is not None
            or limits.cost is not None
            or (parent is not None and parent.metered)
        )
        self._freed: anyio.Event | None = None
        self.deadline: float | None = parent.deadline if parent is not None else None
        """Seconds on the event loop's clock."""
        self.deadline_owner: Budget = parent.deadline_owner if parent is not None else self
        if limits.seconds is not None:
            mine = anyio.current_time() + limits.seconds - elapsed
            if self.deadline is None or mine < self.deadline:
                self.deadline, self.deadline_owner = mine, self

    def child(self, limits: Limits, path: str) -> "Budget":
        return Budget(limits, path, self)

    def may_descend(self) -> LimitReached | None:
        """Whether an agent here may start another below it."""
        node: Budget | None = self
        while node is not None:
            bound = node.limits.depth
            if bound is not None and self.depth + 1 - node.depth > bound:
                return LimitReached("depth", node.path, bound)
            node = node.parent
        return None

    def take_step(self) -> LimitReached | None:
        """Spends one step here and above, or none at all."""
        node: Budget | None = self
        while node is not None:
            bound = node.limits.steps
            if bound is not None and node.steps >= bound:
                return LimitReached("steps", node.path, bound)
            node = node.parent
        self.charge_step()
        return None

    def charge_step(self) -> None:
        """Spends one step here and above, whatever the bounds."""
        node: Budget | None = self
        while node is not None:
            node.steps += 1
            node = node.parent

    async def reserve(
        self, prompt_bytes: int, max_tokens: int | None, price: Price | None
    ) -> Reservation | LimitReached:
        """Holds tokens and cost for one turn.

        Waits while what is left is held by turns under way, because those may give some back.
        """
        if not self.metered:
            return Reservation(0, 0.0, max_tokens)
        prompt = prompt_bytes // BYTES_PER_TOKEN + 1
        while True:
            answer = self._room(prompt, max_tokens, price)
            if isinstance(answer, Reservation):
                self._hold(answer.tokens, answer.cost)
                return answer
            if isinstance(answer, LimitReached):
                return answer
            await answer.wait()

    def settle(self, held: Reservation, usage: Usage) -> None:
        """Turns a reservation into what was really spent, here and above."""
        if usage is NO_USAGE and not self.metered:
            return
        node: Budget | None = self
        spent = usage.input_tokens + usage.output_tokens
        while node is not None:
            node.tokens += spent
            node.cost += usage.cost
            node = node.parent
        if self.metered:
            self._hold(-held.tokens, -held.cost)

    def _hold(self, tokens: int, cost: float) -> None:
        node: Budget | None = self
        while node is not None:
            node.held_tokens += tokens
            node.held_cost += cost
            if tokens < 0 and node._freed is not None:
                node._freed.set()
                node._freed = None
            node = node.parent

    def _room(
        self, prompt: int, max_tokens: int | None, price: Price | None
    ) -> Reservation | LimitReached | anyio.Event:
        """A reservation that fits everywhere, the bound that forbids one, or an event to await."""
        allowed = max_tokens
        node: Budget | None = self
        while node is not None:
            for limit, left, held in node._left(prompt, price):
                if left - held >= 1:
                    most = int(left - held)
                    allowed = most if allowed is None else min(allowed, most)
                    continue
                if held > 0 and left >= 1:
                    if node._freed is None:
                        node._freed = anyio.Event()
                    return node._freed
                bound = getattr(node.limits, limit)
                return LimitReached(limit, node.path, bound)
            node = node.parent
        output = allowed or 0
        cost = (prompt * price.input + output * price.output) / 1e6 if price is not None else 0.0
        return Reservation(prompt + output, cost, allowed)

    def _left(self, prompt: int, price: Price | None) -> list[tuple[str, float, float]]:
        """For each bound: its name, output tokens left after the prompt, and those held."""
        rows: list[tuple[str, float, float]] = []
        if self.limits.tokens is not None:
            rows.append(
                ("tokens", self.limits.tokens - self.tokens - prompt, float(self.held_tokens))
            )
        if self.limits.cost is not None:
            if price is None or price.output <= 0:
                # Nothing tells what a turn will cost: it may start while any money is left.
                left = 1e9 if self.cost < self.limits.cost else 0.0
                rows.append(("cost", left, 0.0))
            else:
                unit = price.output / 1e6
                left = self.limits.cost - self.cost - prompt * price.input / 1e6
                rows.append(("cost", left / unit, self.held_cost / unit))
        return rows
