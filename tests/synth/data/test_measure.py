"""The three axes: figures that can be worked out by hand, and a page that loads nothing."""

import random
import re
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("numpy")

from msgspec.structs import replace

from nexau.latency.profiles import read_profile
from nexau.models.base import ToolCall
from nexau.synth.data.checks.facts import Facts, Limits, ToolBook
from nexau.synth.data.measure import Measure, Meter, Value, judge
from nexau.synth.data.page import page
from nexau.synth.data.trace import trace
from nexau.synth.intervals import bootstrap, wilson
from nexau.trajectory import AgentRecord, Served, Trajectory
from tests.synth.data.rollouts import rollout


def served(made: Trajectory, **by: Literal["live", "replayed", "simulated"]) -> Trajectory:
    def of(record: AgentRecord) -> dict[str, Served]:
        tools = bytes(record.tools)
        return {n: Served("s", kind) for n, kind in by.items() if f'"{n}"'.encode() in tools}

    return replace(made, agents=tuple(replace(each, served=of(each)) for each in made.agents))


def measured(*made: Trajectory) -> Measure:
    meter = Meter()
    for each in made:
        meter.add(each)
    return meter.result()


def test_the_parts_of_a_set_that_can_be_worked_out_by_hand() -> None:
    made = measured(*[served(rollout(n), look_up="live", pay="simulated") for n in range(20)])
    assert made.trajectories == 20
    # Two lookups and payments: one live call, two simulated, one delegation a rollout.
    assert made.calls == {"live": 20, "simulated": 40, "delegation": 20}
    assert made.errors == {"invalid_arguments": 20}
    complexity = made.complexity.parts
    assert complexity["steps"].value == 6
    assert complexity["agents"].value == 2
    assert complexity["depth"].value == 1
    fidelity = made.fidelity.parts
    assert fidelity["grounded"].value == 1
    assert fidelity["live"].value == pytest.approx(1 / 3)
    assert fidelity["errors"].value == pytest.approx(1 / 3)
    assert fidelity["live"].low < 1 / 3 < fidelity["live"].high
    assert made.diversity.parts["topologies"].value == 1


def test_functions_and_old_trajectories_are_told_apart() -> None:
    assert measured(served(rollout(), look_up="live")).calls["function"] == 2
    old = measured(rollout())
    assert old.calls["unstated"] == 3
    assert any("do not say" in note for note in old.notes)


def test_arguments_are_traced_within_their_agent() -> None:
    def traced(made: Trajectory) -> tuple[int, int, int]:
        found = trace(Facts(made, ToolBook(), Limits()))
        return found.leaves, found.traced, found.chain

    # name; two times customer_id and amount, of which 'fifty' is nobody's word.
    assert traced(rollout(1)) == (5, 4, 1)
    made = rollout(1)
    call = ToolCall("b", "look_up", {"name": "C-101"})
    steps = list(made.steps)
    steps[4] = replace(steps[4], calls=(call,))
    assert traced(replace(made, steps=tuple(steps)))[2] == 2, "it takes the id of the first result"
    call = ToolCall("b", "look_up", {"name": "Nobody"})
    steps[4] = replace(steps[4], calls=(call,))
    assert traced(replace(made, steps=tuple(steps)))[1] == 4


def test_the_deficit_is_the_axis_that_lacks_most() -> None:
    made = Measure(10)
    made.complexity.parts = {"steps": Value(8, 8, 8, 10), "chain": Value(3, 3, 3, 10)}
    made.diversity.parts = {"tool_entropy": Value(0.7, 0.7, 0.7, 10)}
    made.fidelity.parts = {"live": Value(0.05, 0, 0.1, 10), "grounded": Value(0.95, 0.9, 1, 10)}
    judge(made)
    assert made.complexity.score == made.diversity.score == 1
    assert made.fidelity.score == pytest.approx((0.25 * 1) ** 0.5)
    assert made.deficit == "fidelity"
    assert made.next == ["rollouts against real servers (examples/servers)"]
    assert made.fidelity.deficits == ["live is 0.05, wanted 0.2"]


def test_latency_is_compared_with_a_profile() -> None:
    file = Path(__file__).parents[3] / "examples" / "profiles" / "sqlite.profile.yaml"
    profile = read_profile(file)
    tool = profile.tools[0]
    meter = Meter(profiles=(profile,))
    made = rollout()
    for ms in tool.levels[0].ms:
        result = replace(made.steps[0].results[0], seconds=ms / 1000)
        call = replace(made.steps[0].calls[0], name=tool.name)
        step = replace(made.steps[0], calls=(call,), results=(result,))
        meter.add(replace(made, steps=(step, *made.steps[1:])))
    row = meter.result().latency[tool.name]
    assert row["d"] < 0.02
    assert row["distance"] < 0.02


def test_memory_is_bounded_and_the_seed_decides() -> None:
    def many(seed: int) -> Measure:
        meter = Meter(seed=seed)
        for n in range(60):
            meter.add(rollout(n))
        return meter.result()

    assert many(1) == many(1)


def test_the_page_is_whole_and_loads_nothing() -> None:
    made = measured(*[served(rollout(n), look_up="live", pay="simulated") for n in range(5)])
    made.notes.append("<script>alert(1)</script>")
    text = page(made, "A & B")
    assert "A &amp; B" in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?://", text)
    for tag in ("table", "section", "svg", "figure"):
        assert text.count(f"<{tag}") == text.count(f"</{tag}>")
    assert page(Measure(), "nothing")


def test_intervals_hold_what_they_say() -> None:
    low, high = wilson(10, 100)
    assert (low, high) == (pytest.approx(0.0552, abs=1e-3), pytest.approx(0.1744, abs=1e-3))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 50)[0] == 0.0
    rng = random.Random(5)
    held = 0
    for trial in range(60):
        sample = [rng.gauss(3, 1) for _ in range(50)]
        low, high = bootstrap(sample, lambda some: sum(some) / len(some), seed=trial)
        held += low <= 3 <= high
    assert held >= 50
    assert bootstrap([2.0], lambda some: some[0]) == (2.0, 2.0)
