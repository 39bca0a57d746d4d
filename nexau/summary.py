"""What a run amounts to: counts, rates and percentiles, kept as trajectories pass."""

import resource
import sys
from collections import Counter
from typing import Any

from msgspec import Struct

from nexau.histogram import Histogram, Percentiles
from nexau.passk import PassRates, PassTally
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
    """Largest resident set of this process since it began; its servers are not in it."""
    passes: PassRates | None = None
    """Where rollouts were scored."""


class Tally:
    """Adds up trajectories as they end."""

    def __init__(self, repeat: int = 1) -> None:
        self.passes = PassTally(repeat)
        self.rollouts = 0
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

    def summary(self, seconds: float, lag: Histogram) -> Summary:
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
            peak_memory_bytes=peak_memory_bytes(),
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
