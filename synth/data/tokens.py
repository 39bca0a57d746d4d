"""Token-level samples out of recorded token ids: what reinforcement learning trains on.

A turn continues the sequence before it where its prompt begins with all of that, token by token;
where it does not (a history that was cut, a text that was tokenised anew), a new sequence starts.
Nothing is tokenised here: a step without ids has no sample.
"""

from collections.abc import Iterator

from msgspec import Struct

from nexau.synth.data.conversation import Unfit
from nexau.trajectory import Step, Trajectory


class Sample(Struct, frozen=True, gc=False):
    """One sequence of one agent."""

    path: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    """All that came after the first prompt: what the model said, and the results between."""
    mask: tuple[int, ...]
    """1 where the model said it. As long as `response_ids`."""
    logprobs: tuple[float, ...] | None
    """0.0 where the model did not say it; None where an endpoint gave none for any turn."""
    turns: int
    stop: str
    """Finish reason of the last turn."""


def samples(trajectory: Trajectory, *, mask_errors: bool = False) -> Iterator[Sample]:
    """Raises `Unfit` where a step has no token ids."""
    by_agent: dict[str, list[Step]] = {}
    for step in trajectory.steps:
        by_agent.setdefault(step.agent, []).append(step)
    for path in sorted(by_agent):
        yield from _of_agent(path, by_agent[path], mask_errors=mask_errors)


class _Sequence:
    def __init__(self, prompt: tuple[int, ...]) -> None:
        self.prompt = prompt
        self.response: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] | None = []
        self.turns = 0

    def whole(self) -> tuple[int, ...]:
        return (*self.prompt, *self.response)

    def add(
        self, ids: tuple[int, ...], logprobs: tuple[float, ...] | None, *, counted: int
    ) -> None:
        self.response += ids
        self.mask += [counted] * len(ids)
        if self.logprobs is None:
            return
        if logprobs is None:
            self.logprobs = None
        else:
            self.logprobs += logprobs

    def sample(self, path: str, stop: str) -> Sample:
        logprobs = tuple(self.logprobs) if self.logprobs is not None else None
        return Sample(
            path, self.prompt, tuple(self.response), tuple(self.mask), logprobs, self.turns, stop
        )


def _of_agent(path: str, steps: list[Step], *, mask_errors: bool) -> Iterator[Sample]:
    sequence: _Sequence | None = None
    stop = ""
    for step in steps:
        tokens = step.tokens
        if tokens is None or not tokens.response_ids or not tokens.prompt_ids:
            raise Unfit(f"{path} turn {step.turn} has no token ids")
        if sequence is not None:
            before = sequence.whole()
            if tokens.prompt_ids[: len(before)] == before:
                seen = tokens.prompt_ids[len(before) :]
                sequence.add(seen, (0.0,) * len(seen), counted=0)
            else:
                yield sequence.sample(path, stop)
                sequence = None
        if sequence is None:
            sequence = _Sequence(tokens.prompt_ids)
        counted = 0 if mask_errors and any(r.is_error for r in step.results) else 1
        logprobs = tokens.logprobs if len(tokens.logprobs) == len(tokens.response_ids) else None
        sequence.add(tokens.response_ids, logprobs, counted=counted)
        sequence.turns += 1
        stop = step.finish_reason
    if sequence is not None:
        yield sequence.sample(path, stop)
