"""A few of many: complete, successful, long, diverse, and none that evaluation will use.

One pass looks at every trajectory and keeps, of those that may be taken, a sample of bounded size
(features and where the line lies, not the line); facility location picks from that; the picked
lines are then read again.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heappush, heappushpop
from math import log
from pathlib import Path

from msgspec import Struct, field

from nexau.synth.data.checks.rules import Checker
from nexau.synth.data.decontaminate import Decontaminator
from nexau.synth.data.features import Features, features_of
from nexau.synth.data.select import Pick, select
from nexau.synth.data.stream import Line
from nexau.synth.data.vectors import vectors, vendi
from nexau.synth.lineage import bytes_id
from nexau.synth.streams import seed_of, stream
from nexau.trajectory import Trajectory

LENGTH = 0.3
"""What the longest is worth, of the whole of F, beside coverage."""
FAULT = 0.1
"""What each kind of fault that counts against one takes off."""


class Wanted(Struct, frozen=True):
    keep: int = 78
    sample: int = 4000
    """Candidates that are compared with each other, at most: memory grows with its square."""
    seed: int = 0
    least_steps: int = 2
    least_reward: float | None = None
    """None: more than 0, where there is a reward."""
    per_task: bool = True
    """At most one of each task."""
    check: bool = True


class Candidate(Struct, frozen=True, gc=False):
    id: str
    task: str
    file: str
    offset: int
    size: int
    lineage: str
    features: Features
    reward: float | None
    faults: tuple[str, ...]


class Kept(Struct, frozen=True, omit_defaults=True):
    """Why one was kept."""

    rank: int
    id: str
    task: str
    lineage: str
    reason: str
    gain: float
    covers: float
    """Of the sample, newly, 0 to 1."""
    worth: float
    stands_for: int
    steps: int
    tokens: int
    agents: int
    tools: int
    topology: str
    nearest: str | None = None
    similarity: float = 0.0
    faults: tuple[str, ...] = ()
    reward: float | None = None


class Report(Struct):
    seen: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    candidates: int = 0
    sampled: int = 0
    estimated_tokens: bool = False
    kept: list[Kept] = field(default_factory=list)
    covered: float = 0.0
    """Mean similarity of the sample to the nearest one kept."""
    vendi_kept: float = 0.0
    vendi_random: float = 0.0
    """Of as many, drawn at random."""


class Curator:
    """Feed it every line with `look`, then `choose`."""

    def __init__(self, wanted: Wanted, decontaminator: Decontaminator | None = None) -> None:
        self.report = Report()
        self._wanted = wanted
        self._checker = Checker()
        self._evaluation = decontaminator
        self._heap: list[tuple[int, int, Candidate]] = []
        """By a number each, negative: the largest is on top."""
        self._sample: list[Candidate] = []

    def look(self, line: Line[Trajectory], offset: int) -> None:
        """Takes one trajectory into account. `offset` is where its line begins in its file."""
        self.report.seen += 1
        refusal, faults = self._refusal(line)
        if refusal is not None:
            self.report.refused[refusal] += 1
            return
        self.report.candidates += 1
        trajectory = line.trajectory
        # A bottom-k sample (Cohen and Kaplan 2007): which are in it, and in what order, does not
        # depend on the order of the lines, which that of a run is by chance.
        number = -seed_of(self._wanted.seed, "curate", trajectory.id)
        full = len(self._heap) >= self._wanted.sample
        if full and number < self._heap[0][0]:
            return
        candidate = Candidate(
            trajectory.id,
            trajectory.task,
            line.file,
            offset,
            len(line.data),
            bytes_id("rollout", line.data),
            features_of(trajectory),
            trajectory.reward,
            faults,
        )
        entry = (number, -self.report.candidates, candidate)
        if full:
            heappushpop(self._heap, entry)
        else:
            heappush(self._heap, entry)

    def _refusal(self, line: Line[Trajectory]) -> tuple[str | None, tuple[str, ...]]:
        trajectory, wanted = line.trajectory, self._wanted
        if not trajectory.final:
            return "tried again later", ()
        if trajectory.status != "completed":
            return f"not complete: {trajectory.status}", ()
        least = wanted.least_reward
        reward = trajectory.reward
        if (reward is not None and (reward <= 0 if least is None else reward < least)) or (
            reward is None and least is not None
        ):
            return "not successful", ()
        if len(trajectory.steps) < wanted.least_steps:
            return "too short", ()
        if self._evaluation is not None:
            found = self._evaluation.reason(trajectory.input)
            if found is not None:
                return f"contaminated: {found}", ()
        if not wanted.check:
            return None, ()
        findings = self._checker.check(trajectory)
        hard = next((finding.rule for finding in findings if finding.weight == "hard"), None)
        if hard is not None:
            return f"hard fault: {hard}", ()
        return None, tuple(sorted({finding.rule for finding in findings}))

    def choose(self) -> list[Candidate]:
        """The picked ones, the best first. Fills the report."""
        sample = self._sample = [each for *_, each in sorted(self._heap, reverse=True)]
        wanted, report = self._wanted, self.report
        report.sampled = len(sample)
        if not sample:
            return []
        report.estimated_tokens = any(each.features.estimated for each in sample)
        matrix = vectors([each.features for each in sample])
        worth = self._worth()
        groups = [each.task for each in sample] if wanted.per_task else None
        picks = select(matrix, worth, wanted.keep, groups=groups)
        chosen = [pick.index for pick in picks]
        report.kept = [self._kept(rank, pick, worth) for rank, pick in enumerate(picks, 1)]
        report.covered = sum(pick.covers for pick in picks)
        report.vendi_kept = vendi(matrix[chosen])
        drawn = stream(wanted.seed, "curate", "random").sample(range(len(sample)), len(chosen))
        report.vendi_random = vendi(matrix[drawn])
        return [sample[index] for index in chosen]

    def _worth(self) -> list[float]:
        """The longer and the freer of faults, the more: at most `LENGTH / keep` each, so that all
        that are kept are together worth a part of what covering everything is."""
        lengths = [log(1 + each.features.tokens) for each in self._sample]
        low, high = min(lengths), max(lengths)
        span = (high - low) or 1.0
        return [
            (LENGTH * (length - low) / span - FAULT * len(each.faults)) / self._wanted.keep
            for length, each in zip(lengths, self._sample, strict=True)
        ]

    def _kept(self, rank: int, pick: Pick, worth: list[float]) -> Kept:
        each = self._sample[pick.index]
        features = each.features
        nearest = self._sample[pick.nearest].id if pick.nearest is not None else None
        total = len(self._sample)
        reason = f"stands for {pick.stands_for} of {total}"
        if nearest is not None:
            reason += f"; the most like it that was kept before is {pick.similarity:.0%} so"
        longer = sum(other.features.tokens < features.tokens for other in self._sample)
        reason += f"; longer than {longer / total:.0%}"
        return Kept(
            rank,
            each.id,
            each.task,
            each.lineage,
            reason,
            round(pick.gain, 6),
            round(pick.covers, 6),
            round(worth[pick.index], 6),
            pick.stands_for,
            features.steps,
            features.tokens,
            features.agents,
            len(set(features.tools)),
            features.topology,
            nearest,
            round(pick.similarity, 4),
            each.faults,
            each.reward,
        )


def read_again(chosen: list[Candidate], files: dict[str, Path]) -> Iterator[bytes]:
    """The lines of the chosen ones, in their order. Raises OSError."""
    for each in chosen:
        with files[each.file].open("rb") as lines:
            lines.seek(each.offset)
            yield lines.read(each.size).rstrip(b"\n")
