"""One attempt at a rollout, from its opening to the trajectory that it leaves."""

import time
from hashlib import blake2b

from msgspec import Struct

from nexau.journal.past import Past
from nexau.journal.reissue import Diverged
from nexau.prepare import Prepared
from nexau.scope import Scope
from nexau.tasks.assignments import Assignment
from nexau.trajectory import SCHEMA, Finished, RolloutError, Score, Step, Trajectory
from nexau.transports.protocol import NO_USAGE, Timing


class Judged(Struct, frozen=True):
    """What was made of a rollout after its end."""

    steps: tuple[Step, ...]
    score: Score | None = None
    note: str = ""
    """Why there is no score, where there should be one."""


class Attempt:
    """One that is under way, or was cut off."""

    __slots__ = (
        "assignment",
        "began",
        "began_at",
        "notes",
        "number",
        "outcome",
        "past",
        "prepared",
        "scope",
    )

    def __init__(
        self,
        assignment: Assignment,
        number: int,
        scope: Scope,
        past: Past | None,
        notes: tuple[str, ...],
        prepared: Prepared,
    ) -> None:
        self.assignment = assignment
        self.prepared = prepared
        """With the servers that its task names."""
        self.number = number
        self.scope = scope
        self.past = past
        self.notes = notes
        self.began_at = scope.recorder.clock()
        self.began = time.perf_counter()
        self.outcome: RolloutError | Diverged | None = None
        """What went wrong."""


def seal(
    attempt: Attempt,
    ended: Finished,
    judged: Judged,
    *,
    seconds: float,
    final: bool,
) -> Trajectory:
    """The trajectory of an attempt that has ended."""
    assignment, scope, prepared = attempt.assignment, attempt.scope, attempt.prepared
    task, recorder, began_at = assignment.task, scope.recorder, attempt.began_at
    if attempt.past is not None:
        began_at, seconds = attempt.past.began_at, seconds + attempt.past.seconds
    steps, score = judged.steps, judged.score
    usage = NO_USAGE
    queue, model, tool, own = scope.queued, 0.0, 0.0, 0.0
    for step in steps:
        if step.usage is not NO_USAGE:
            usage += step.usage
        took = step.timing
        queue += took.queue
        model += took.model
        tool += took.tool
        own += took.own
    return Trajectory(
        SCHEMA,
        recorder.rollout,
        task.id,
        task.input,
        prepared.name,
        ended.status,
        steps,
        ended.answer,
        ended.limit,
        ended.error,
        score.reward if score is not None else None,
        usage,
        Timing(queue, model, tool, own),
        assignment.repeat,
        attempt.number,
        final,
        task.group,
        scope.seed,
        began_at,
        seconds,
        prepared.records,
        task.metadata,
        score,
        recorder.user,
        judged.note,
        attempt.notes,
    )


def derive_seed(seed: int, task: str, repeat: int) -> int:
    """A seed of its own for each rollout: 63 bits, the same in every run and process."""
    digest = blake2b(f"{seed}/{task}/{repeat}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
