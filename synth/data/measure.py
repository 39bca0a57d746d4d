"""A set of trajectories on the three axes: complexity, diversity, fidelity (extra `synth`: numpy).

One pass counts what is a sum and keeps a sample of bounded size for what has to be compared; each
figure has its interval (Wilson's for rates, bootstrap for the rest, 95 %). An axis is in deficit
when a part of it is below what `targets` asks; the deficit says what to make next.
"""

from collections import Counter
from itertools import pairwise
from math import log, log2

from msgspec import Struct, field

from nexau.latency.distances import kolmogorov_smirnov, wasserstein
from nexau.latency.profiles import Profile, value_at
from nexau.synth.data.distinct import Distinct
from nexau.synth.data.features import Features
from nexau.synth.data.outline import Outline, Outliner
from nexau.synth.data.vectors import vectors, vendi
from nexau.synth.intervals import bootstrap, wilson
from nexau.synth.nearduplicates import NearDuplicates
from nexau.synth.streams import stream
from nexau.trajectory import Trajectory

SAMPLE = 2000
_VENDI = 500
"""Rows of which the Vendi score is taken: sets are compared at equal n."""
_LATENCIES = 4000
_LOOKED = 50_000
"""Tasks that are looked at for near-duplicates: more would need more memory than they tell."""
_CROWD = 64
"""Tasks of one pattern with which each is compared, at most."""
ANSWERED = ("live", "replayed", "simulated", "function", "unstated")
"""unstated: a trajectory that does not say, from before `AgentRecord.served`."""


class Value(Struct, frozen=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    of: int
    """What it was taken over."""
    unit: str = ""


class Axis(Struct):
    parts: dict[str, Value] = field(default_factory=dict)
    score: float = 0.0
    """The geometric mean of the parts that have a target, each against it, 1 at most."""
    deficits: list[str] = field(default_factory=list)


class Measure(Struct):
    trajectories: int = 0
    tasks: int = 0
    complexity: Axis = field(default_factory=Axis)
    diversity: Axis = field(default_factory=Axis)
    fidelity: Axis = field(default_factory=Axis)
    calls: dict[str, int] = field(default_factory=dict)
    """By who answered: live, replayed, simulated, function, unstated; and delegations."""
    errors: dict[str, int] = field(default_factory=dict)
    latency: dict[str, dict[str, float]] = field(default_factory=dict)
    """By tool: median and 95th percentile in ms; against a profile also D and distance."""
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)
    deficit: str = ""
    next: list[str] = field(default_factory=list)
    """What to generate next."""
    notes: list[str] = field(default_factory=list)


class Target(Struct, frozen=True):
    axis: str
    part: str
    least: float
    advice: str


TARGETS: tuple[Target, ...] = (
    Target("complexity", "steps", 8.0,
           "longer tasks: raise --fusion, ask for several things in one request"),
    Target("complexity", "chain", 3.0,
           "tasks whose calls feed each other: walk the tool graph further"),
    Target("complexity", "agents", 2.0, "hierarchies: nexau synth agents, two levels or more"),
    Target("complexity", "depth", 1.0, "delegation below the root"),
    Target("diversity", "vendi", 40.0, "tasks of other worlds and other problem types"),
    Target("diversity", "tool_entropy", 0.7,
           "tasks for the tools that are seldom called: sample them by inverse frequency"),
    Target("diversity", "topologies", 6.0, "agent trees of other shapes"),
    Target("diversity", "distinct_tasks", 0.9, "fewer repeats and near-duplicates of a task"),
    Target("fidelity", "grounded", 0.95, "calls that a server answers, in place of functions"),
    Target("fidelity", "traceable", 0.95, "plans whose arguments come from what was said"),
    Target("fidelity", "live", 0.2, "rollouts against real servers (examples/servers)"),
    Target("fidelity", "errors", 0.01, "errors as servers really make them: latency profiles"),
)  # fmt: skip
"""What each part is measured against. They are stated, not derived: change them to your needs."""


class _Seen(Struct, frozen=True, gc=False):
    features: Features
    chain: int
    edges: int


class Meter:
    """Feed it trajectories with `add`, or their outlines with `take`; then `result`."""

    def __init__(self, *, seed: int = 0, profiles: tuple[Profile, ...] = ()) -> None:
        self._outliner = Outliner()
        self._seed = seed
        self._profiles = profiles
        self._random = stream(seed, "measure")
        self._sample: list[_Seen] = []
        self._near = NearDuplicates(0.8, crowd=_CROWD)
        self._count = self._distinct = self._looked = 0
        self._tasks = Distinct()
        self._tools: Counter[str] = Counter()
        self._pairs: Counter[str] = Counter()
        self._offered: set[str] = set()
        self._topologies: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._results = 0
        self._errors: Counter[str] = Counter()
        self._leaves = self._traced = 0
        self._latency: dict[str, list[float]] = {}
        self._timed: Counter[str] = Counter()

    def add(self, trajectory: Trajectory) -> None:
        if trajectory.final:
            self.take(self._outliner.of(trajectory))

    def take(self, outline: Outline) -> None:
        """The order counts: samples are drawn by it."""
        self._count += 1
        features, found = outline.features, outline.traced
        self._topologies[features.topology] += 1
        self._leaves += found.leaves
        self._traced += found.traced
        self._results += outline.results
        self._offered.update(outline.offered)
        self._tools.update(outline.tools)
        self._pairs.update(outline.pairs)
        self._answered.update(outline.answered)
        self._errors.update(outline.errors)
        for tool, ms in outline.times:
            self._time(tool, ms)
        if outline.repeat == 0 and self._looked < _LOOKED:
            self._looked += 1
            self._distinct += self._near.add(outline.input) is None
        place = len(self._sample)
        if place >= SAMPLE:
            place = self._random.randrange(self._count)
        if place == len(self._sample):
            self._sample.append(_Seen(features, found.chain, found.edges))
        elif place < SAMPLE:
            self._sample[place] = _Seen(features, found.chain, found.edges)
        self._tasks.add(outline.task)

    def _time(self, tool: str, ms: float) -> None:
        kept = self._latency.setdefault(tool, [])
        self._timed[tool] += 1
        if len(kept) < _LATENCIES:
            kept.append(ms)
        elif (place := self._random.randrange(self._timed[tool])) < _LATENCIES:
            kept[place] = ms

    def result(self) -> Measure:
        made = Measure(self._count, self._tasks.count())
        if not self._count:
            return made
        made.calls = dict(self._answered)
        made.errors = dict(self._errors)
        made.complexity.parts = self._complexity()
        made.diversity.parts = self._diversity()
        made.fidelity.parts = self._fidelity()
        self._against_profiles(made)
        made.histograms = self._histograms()
        judge(made)
        return made

    def _mean(self, numbers: list[float], unit: str = "") -> Value:
        low, high = bootstrap(numbers, lambda sample: sum(sample) / len(sample), seed=self._seed)
        return Value(sum(numbers) / len(numbers), low, high, len(numbers), unit)

    def _complexity(self) -> dict[str, Value]:
        sample = self._sample
        ordered = sorted(float(each.features.steps) for each in sample)
        nine = bootstrap(ordered, lambda some: value_at(sorted(some), 0.9), seed=self._seed)
        return {
            "steps": self._mean([float(each.features.steps) for each in sample], "model turns"),
            "steps_p90": Value(value_at(ordered, 0.9), *nine, len(ordered)),
            "calls": self._mean([float(len(each.features.tools)) for each in sample]),
            "agents": self._mean([float(each.features.agents) for each in sample]),
            "depth": self._mean(
                [float(each.features.depth) for each in sample], "levels below root"
            ),
            "chain": self._mean([float(each.chain) for each in sample], "calls in a row"),
            "edges": self._mean([float(each.edges) for each in sample], "arguments from results"),
        }

    def _diversity(self) -> dict[str, Value]:
        sample = [each.features for each in self._sample]
        rows = vectors(sample)
        random = stream(self._seed, "vendi")
        size = min(_VENDI, len(rows))
        scores = [
            vendi(rows[random.sample(range(len(rows)), size)])
            for _ in range(5 if size < len(rows) else 1)
        ]
        calls = sum(self._tools.values())
        total = self._count
        called = len(self._tools.keys() & self._offered) if self._offered else len(self._tools)
        low, high = wilson(len(self._topologies), total)
        return {
            "vendi": Value(sum(scores) / len(scores), min(scores), max(scores), size, "of n"),
            "topologies": Value(len(self._topologies), len(self._topologies),
                                len(self._topologies), total),
            "topology_rate": Value(len(self._topologies) / total, low, high, total),
            "tool_entropy": _entropy(self._tools, len(self._offered) or len(self._tools), calls),
            "pair_entropy": _entropy(self._pairs, len(self._pairs), sum(self._pairs.values())),
            "tool_coverage": _rate(called, len(self._offered)),
            "distinct_tasks": _rate(self._distinct, self._looked),
            "distinct_2": _distinct([each.task for each in sample]),
        }  # fmt: skip

    def _fidelity(self) -> dict[str, Value]:
        counts = self._answered
        calls = sum(counts[name] for name in (*ANSWERED, "unanswered"))
        served = counts["live"] + counts["replayed"] + counts["simulated"]
        return {
            "grounded": _rate(served, calls),
            "live": _rate(counts["live"], calls),
            "replayed": _rate(counts["replayed"], calls),
            "simulated": _rate(counts["simulated"], calls),
            "traceable": _rate(self._traced, self._leaves),
            "errors": _rate(self._errors.total(), self._results),
        }

    def _against_profiles(self, made: Measure) -> None:
        distances: list[float] = []
        for tool, sample in sorted(self._latency.items()):
            ordered = sorted(sample)
            row = {"calls": float(self._timed[tool]), "p50": value_at(ordered, 0.5),
                   "p95": value_at(ordered, 0.95)}  # fmt: skip
            recorded = self._recorded(tool)
            if recorded:
                row["d"] = kolmogorov_smirnov(ordered, recorded)
                logs = [log(max(ms, 1e-3)) for ms in ordered]
                row["distance"] = wasserstein(logs, [log(max(ms, 1e-3)) for ms in recorded])
                distances.append(row["d"])
            made.latency[tool] = row
        if distances:
            made.fidelity.parts["latency_d"] = self._mean(distances, "KS, 0 is equal")
        elif self._profiles:
            made.notes.append("no tool of the profiles was called")
        if self._answered["unstated"]:
            made.notes.append("some trajectories do not say who answered their calls")
        if not self._profiles:
            made.notes.append("latency was compared with no profile (--profile)")

    def _recorded(self, tool: str) -> tuple[float, ...]:
        for profile in self._profiles:
            found = profile.tool(tool)
            if found is not None and found.levels and found.levels[0].ms:
                return found.levels[0].ms
        return ()

    def _histograms(self) -> dict[str, dict[str, int]]:
        sample = self._sample
        counted = {
            "steps": Counter(each.features.steps for each in sample),
            "agents": Counter(each.features.agents for each in sample),
            "chain": Counter(each.chain for each in sample),
        }
        made = {
            name: {str(value): count for value, count in sorted(counts.items())}
            for name, counts in counted.items()
        }
        made["tools"] = dict(self._tools.most_common(24))
        return made


def _rate(hits: int, total: int) -> Value:
    low, high = wilson(hits, total)
    return Value(hits / total if total else 0.0, low, high, total)


def _entropy(counts: Counter[str], kinds: int, total: int) -> Value:
    """Shannon's, over its maximum: 1 where all are as frequent."""
    if kinds < 2 or not total:
        return Value(0.0, 0.0, 0.0, total)
    value = -sum(c / total * log2(c / total) for c in counts.values()) / log2(kinds)
    # The standard error of the entropy's plug-in estimate (Basharin 1959).
    mean = value * log2(kinds)
    second = sum(c / total * log2(c / total) ** 2 for c in counts.values())
    error = 1.96 * (max(0.0, second - mean * mean) / total) ** 0.5 / log2(kinds)
    return Value(value, max(0.0, value - error), min(1.0, value + error), total)


def _distinct(texts: list[tuple[str, ...]]) -> Value:
    """Distinct-2 (Li et al. 2016): different pairs of words over all pairs, of 500 texts."""
    pairs = [pair for text in texts[:500] for pair in pairwise(text)]
    return _rate(len(set(pairs)), len(pairs))


def judge(made: Measure) -> None:
    """Scores the axes against `TARGETS`, and says what is lacking most."""
    axes = {"complexity": made.complexity, "diversity": made.diversity, "fidelity": made.fidelity}
    ratios: dict[str, list[float]] = {name: [] for name in axes}
    advice: list[tuple[float, str]] = []
    for target in TARGETS:
        part = axes[target.axis].parts.get(target.part)
        if part is None or not part.of:
            continue
        ratio = min(1.0, part.value / target.least)
        ratios[target.axis].append(max(ratio, 0.01))
        if ratio < 1:
            axes[target.axis].deficits.append(
                f"{target.part} is {part.value:.3g}, wanted {target.least:g}"
            )
            advice.append((ratio, target.advice))
    for name, axis in axes.items():
        found = ratios[name]
        if found:
            product = 1.0
            for ratio in found:
                product *= ratio
            axis.score = product ** (1 / len(found))
    made.deficit = min(axes, key=lambda name: axes[name].score)
    made.next = [text for _, text in sorted(advice)][:4]
