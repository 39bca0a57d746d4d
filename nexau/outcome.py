"""How an agent ended, and what its caller gets to see of it."""

from msgspec import Struct

from nexau.budget import LimitReached
from nexau.trajectory import RolloutError, Status
from nexau.transports.protocol import ErrorClass, Result, Text, Timing, Usage


class Outcome(Struct, frozen=True, gc=False):
    """How an agent ended."""

    status: Status
    answer: str | None = None
    limit: LimitReached | None = None
    error: RolloutError | None = None

    def result(self, call_id: str, usage: Usage, timing: Timing) -> Result:
        """The answer to the `Call` that the agent lived for."""
        error_class: ErrorClass | None = None
        if self.limit is not None:
            error_class = "limit"
            text = f"stopped before the end: {bound(self.limit)}"
            if self.answer:
                text += f"\nLast words: {self.answer}"
        elif self.error is not None:
            error_class = "model_error" if self.error.kind == "model" else "crashed"
            text = self.error.message
        else:
            text = self.answer or ""
        content = (Text(text),)
        failed = error_class is not None
        return Result(call_id, content, failed, error_class, usage=usage, timing=timing)


def bound(hit: LimitReached) -> str:
    return f"the limit of {hit.bound:g} {hit.limit} of {hit.owner} is reached"
