"""What a run amounts to: counts, rates and percentiles, kept as trajectories pass."""

import resource
import sys
from collections import Counter
from typing import Any

from msgspec import Struct

from nexau.histogram import Buckets, Histogram, Percentiles
from nexau.scoring.passk import PassRates, PassTally
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Usage


class Summary(Struct, frozen=True):
    rollouts: int
    """Trajectories, every attempt counted."""
    by_status: dict[str, int]
    failures: dict[str, int]
    """Rollouts that failed, by kind of error."""
    error_classes: dict[str, int]
    """Calls that came back as errors, by class."""
    limits: dict[str, int]
    """Rollouts that a limit ended, by limit."""
    steps: int
    """Model turns, of sub-agents too."""
    calls: int
    """Calls of tools; calls of sub-agents are `delegations`."""
    delegations: int
    seconds: float
    rollouts_per_second: float
    steps_per_second: float
    calls_per_second: float
    tool_latency: Percentiles
    own_time_per_step: Percentiles
    """The runtime's own time in a step."""
    loop_lag: Percentiles
    """How late the event loop ran a timer that was due."""
    usage: Usage
    peak_memory_bytes: int
    """Largest resident set of this process since it began, and of its workers, added up; servers
    are not in it."""
    passes: PassRates | None = None
    """Where rollouts were scored."""


class Counts(Struct, frozen=True):
    """What a tally holds, to be sent to another process."""

    rollouts: int
    failed: int
    steps: int
    calls: int
    delegations: int
    by_status: dict[str, int]
    failures: dict[str, int]
    error_classes: dict[str, int]
    limits: dict[str, int]
    tool_latency: Buckets
    own_time: Buckets
    usage: Usage


class Tally:
    """Adds up trajectories as they end."""

    def __init__(self, repeat: int = 1) -> None:
        self.passes = PassTally(repeat)
        self.rollouts = 0
        self.failed = 0
        """Rollouts whose last attempt failed."""
        self.steps = 0
        self.calls = 0
        self.delegations = 0
        self.by_status: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.error_classes: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self.tool_latency = Histogram()
        self.own_time = Histogram()
        self.usage = Usage()

    def add(self, trajectory: Trajectory) -> None:
        self.rollouts += 1
        self.by_status[trajectory.status] += 1
        self.failed += trajectory.final and trajectory.status == "failed"
        if trajectory.error is not None:
            self.failures[trajectory.error.kind] += 1
        if trajectory.limit is not None:
            self.limits[trajectory.limit.rpartition(": ")[2]] += 1
        self.steps += len(trajectory.steps)
        for step in trajectory.steps:
            self.own_time.add(step.timing.own)
            for result in step.results:
                if result.agent is None:
                    self.calls += 1
                    if result.seconds > 0.0:  # 0 for a call that was cut off
                        self.tool_latency.add(result.seconds)
                else:
                    self.delegations += 1
                if result.error_class is not None:
                    self.error_classes[result.error_class] += 1
        self.usage += trajectory.usage
        self.passes.add(trajectory)

    def counts(self) -> Counts:
        return Counts(
            self.rollouts,
            self.failed,
            self.steps,
            self.calls,
            self.delegations,
            dict(self.by_status),
            dict(self.failures),
            dict(self.error_classes),
            dict(self.limits),
            self.tool_latency.buckets(),
            self.own_time.buckets(),
            self.usage,
        )

    def merge(self, other: Counts) -> None:
        """Adds what another tally has counted."""
        self.rollouts += other.rollouts
        self.failed += other.failed
        self.steps += other.steps
        self.calls += other.calls
        self.delegations += other.delegations
        self.by_status.update(other.by_status)
        self.failures.update(other.failures)
        self.error_classes.update(other.error_classes)
        self.limits.update(other.limits)
        self.tool_latency.merge(other.tool_latency)
        self.own_time.merge(other.own_time)
        self.usage += other.usage

    def summary(self, seconds: float, lag: Histogram, memory: int | None = None) -> Summary:
        """`memory` in bytes; None for the peak of this process."""
        rate = 1 / seconds if seconds > 0 else 0.0
        return Summary(
            rollouts=self.rollouts,
            by_status=dict(self.by_status),
            failures=dict(self.failures),
            error_classes=dict(self.error_classes),
            limits=dict(self.limits),
            steps=self.steps,
            calls=self.calls,
            delegations=self.delegations,
            seconds=seconds,
            rollouts_per_second=self.rollouts * rate,
            steps_per_second=self.steps * rate,
            calls_per_second=self.calls * rate,
            tool_latency=self.tool_latency.percentiles(),
            own_time_per_step=self.own_time.percentiles(),
            loop_lag=lag.percentiles(),
            usage=self.usage,
            peak_memory_bytes=peak_memory_bytes() if memory is None else memory,
            passes=self.passes.rates(),
        )

    def statistics(self) -> dict[str, Any]:
        """The counts so far, for a progress display."""
        return {
            "done": self.rollouts,
            "failed": self.by_status["failed"],
            "steps": self.steps,
            "calls": self.calls,
            "failures": dict(self.failures),
            "error_classes": dict(self.error_classes),
            "tool_latency_p95": self.tool_latency.quantile(0.95),
        }


def peak_memory_bytes() -> int:
    """`ru_maxrss`, which Linux counts in KiB and macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
