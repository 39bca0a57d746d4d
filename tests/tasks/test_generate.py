"""Tasks of a world: executed, described, accepted; the same in whatever order they are made."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

import anyio
import msgspec
import pytest
from hypothesis import given, strategies as st
from typer.testing import CliRunner

from nexau.cli.main import app
from nexau.definitions.values import Task
from nexau.models.check_plan import check_plan
from nexau.synth.lineage import carried
from nexau.synth.tasks.acceptance import names_a_tool
from nexau.synth.tasks.fuzzy import fuzzified
from nexau.synth.tasks.generate import Generator, Made, Settings
from nexau.synth.tasks.nouns import article, label, participle, plural
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.structs import Draft, Found, Given, Goal, Step, Tool
from nexau.synth.tasks.telling import sources_met
from nexau.synth.tasks.typetree import TypeTree
from nexau.synth.worlds.checks import compile_check
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.play import play
from nexau.synth.worlds.reader import load_world

WORLD = Path(__file__).parents[2] / "examples" / "worlds" / "retail-returns.yaml"
SOME = 14


@pytest.fixture(scope="module")
def source() -> Iterator[WorldSource]:
    made = WorldSource(load_world(WORLD), rows=600)
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(source: WorldSource) -> list[Made]:
    generator = Generator(source, Settings(seed=3))

    async def make() -> list[Made]:
        return [await generator.make(number) for number in range(SOME)]

    return anyio.run(make)


def flat(plan: dict) -> dict:  # type: ignore[type-arg]
    """A conversation as one plan, with its last answer."""
    parts = [plan, *plan.get("then", [])]
    turns = [turn for part in parts for turn in part["turns"]]
    return {"turns": turns, "answer": parts[-1]["answer"]}


def test_every_plan_passes_its_check_and_doing_nothing_does_not(
    source: WorldSource, made: list[Made]
) -> None:
    tasks = [each.task for each in made if each.task is not None]
    assert len(tasks) >= SOME - 2
    for task in tasks:
        assert check_plan(task.plan) == []
        check = compile_check(source.world, task.check)
        state = source.template.state()
        played = play(state, flat(task.plan))
        assert not played.stuck
        outcome = evaluate(check, source.initial, state, played.answer)
        assert outcome.passed, (task.input, outcome.failures())
        if task.user is None:
            assert not evaluate(check, source.initial, source.initial, "").passed
        state.close()


def test_a_task_says_where_each_argument_comes_from(made: list[Made]) -> None:
    for task in (each.task for each in made if each.task is not None):
        for name, where in task.metadata["arguments"].items():
            assert where == "request" or where.partition("/")[0] in {
                key.partition(".")[0] for key in task.metadata["arguments"]
            }, name
        lineage = carried(task.metadata)
        assert lineage is not None
        assert lineage.parents[0].startswith("world:")


def test_a_number_gives_the_same_task_whatever_was_made_before(
    source: WorldSource, made: list[Made]
) -> None:
    async def again() -> list[Made]:
        generator = Generator(source, Settings(seed=3))
        return [await generator.make(number) for number in (7, 2)]

    seven, two = anyio.run(again)
    assert msgspec.json.encode(seven) == msgspec.json.encode(made[7])
    assert msgspec.json.encode(two) == msgspec.json.encode(made[2])


def test_no_request_names_a_tool_or_holds_its_answer(source: WorldSource, made: list[Made]) -> None:
    for task in (each.task for each in made if each.task is not None):
        assert names_a_tool(task.input, source.tools, frozenset(source.tools)) is None
        if task.metadata["shape"] != "plain" or "change" in task.metadata["tags"]:
            continue
        for fact in task.check.get("answer", {}).get("contains", []):
            assert len(fact) < 2 or fact.casefold() not in task.input.casefold()


def test_a_request_names_a_tool(source: WorldSource) -> None:
    assert names_a_tool("please open return 5", source.tools, frozenset()) == "open_return"
    assert names_a_tool("use get_order", source.tools, frozenset()) == "get_order"
    text = "Cancel an order that has not shipped. Its goods go back into stock."
    assert names_a_tool(text, source.tools, frozenset({"cancel_order"})) == "cancel_order"


def test_fused_tasks_draw_on_as_many_sources(source: WorldSource) -> None:
    async def make() -> list[Made]:
        generator = Generator(source, Settings(seed=5, fusion=3))
        return [await generator.make(number) for number in range(4)]

    tasks = [each.task for each in anyio.run(make) if each.task is not None]
    assert tasks
    assert all(task.metadata["sources"] >= 3 for task in tasks)


def test_sources_are_the_calls_without_needs_that_meet() -> None:
    tool = Tool("w", "get", "", True, (), "x")
    one, two = Step("a", tool, {}), Step("b", tool, {"k": Given(1)})
    last = Step("c", tool, {"i": Found("a", "/i", 1), "j": Found("b", "/j", 2)})
    assert sources_met(Draft([one, two, last], [Goal("look", "c")])) == 2
    assert sources_met(Draft([one, two, last], [Goal("look", "a"), Goal("look", "b")])) == 1
    assert sources_met(Draft([], [Goal("chat", "")])) == 0


def test_rare_types_are_drawn_before_frequent_ones() -> None:
    tree = TypeTree([("d", "n", "k", str(i)) for i in range(4)])
    chance = Random(1)
    for _ in range(200):
        drawn = tree.draw(chance)
        assert 2 <= len(drawn.kept) <= 4
        assert drawn.leaf in tree.within(drawn.kept)
        tree.counts[drawn.leaf] += 1
    assert max(tree.counts.values()) - min(tree.counts.values()) <= 25


@given(st.integers(-70, 70), st.integers(0, 99), st.integers(0, 50))
def test_fuzzy_dates_and_numbers_can_be_told_back(days: int, number: int, seed: int) -> None:
    today = date(2026, 3, 2)
    day = today + timedelta(days=days)
    text = fuzzified(f"the one placed on {day} with {number} pieces of O-12", today, Random(seed))
    assert "O-12" in text
    if abs(days) > 60:
        assert str(day) in text
    else:
        assert str(day) not in text
        words = "zero one two three four five six seven eight nine ten eleven twelve".split()
        told = {"today": 0, "yesterday": -1, "tomorrow": 1}
        for count in range(1, 61):
            for unit, size in (("day", 1), ("week", 7)):
                said = words[count] if count < len(words) else str(count)
                ending = "" if count == 1 else "s"
                told[f"{said} {unit}{ending} ago"] = -count * size
                told[f"in {said} {unit}{ending}"] = count * size
        found = [away for phrase, away in told.items() if f"placed {phrase} with" in text]
        assert days in found
    assert str(number) in text or number < 13


def test_words() -> None:
    assert (article("order"), article("ticket")) == ("an order", "a ticket")
    assert (plural("entry"), plural("day"), plural("box")) == ("entries", "days", "boxes")
    assert (participle("placed_on"), participle("paid"), participle("made_at")) == (
        "placed", None, "made",
    )  # fmt: skip
    assert label("order_id") == "order number"


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    out, whole = tmp_path / "t.jsonl", tmp_path / "whole.jsonl"

    def run(target: Path, count: int) -> None:
        arguments = ["synth", "tasks", str(WORLD), "--n", str(count), "--seed", "3"]
        done = CliRunner().invoke(app, [*arguments, "--rows", "600", "--out", str(target)])
        assert done.exit_code == 0, done.output

    run(whole, 6)
    run(out, 3)
    out.write_bytes(out.read_bytes() + b'{"id": "torn')
    refused = tmp_path / "rejected" / out.name
    # Numbers after the last task were begun: they are made again.
    late = b'{"number":99,"refused":{"no call succeeded":5}}\n{"number":1'
    refused.write_bytes(refused.read_bytes() + late)
    run(out, 6)
    assert out.read_bytes() == whole.read_bytes()
    assert refused.read_bytes() == (tmp_path / "rejected" / whole.name).read_bytes()
    reports = [(tmp_path / f"{name}.report.json").read_bytes() for name in ("t", "whole")]
    assert reports[0] == reports[1]
    other = ["synth", "tasks", str(WORLD), "--seed", "4", "--out", str(out)]
    done = CliRunner().invoke(app, other)
    assert done.exit_code == 2
    assert "was begun with --seed 3, not 4" in done.stderr
    report = json.loads((tmp_path / "t.report.json").read_bytes())
    assert report["accepted"] == 6
    assert [msgspec.json.decode(line, type=Task) for line in out.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        ([str(WORLD), "--out", "no/such/folder/t.jsonl"], "no directory"),
        ([str(WORLD), "--n", "0"], "--n"),
        ([str(WORLD), "--out", "."], "--out: . is a directory"),
        ([str(WORLD), "--fusion", "9"], "--fusion"),
    ],
)
def test_wrong_input_is_said_in_one_line(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["synth", "tasks", *arguments])
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    out.write_text('{"input": "mine"}\n')
    done = CliRunner().invoke(app, ["synth", "tasks", str(WORLD), "--n", "2", "--out", str(out)])
    assert done.exit_code == 2
    assert "not a task that this command wrote" in done.stderr
    assert out.read_text() == '{"input": "mine"}\n'
