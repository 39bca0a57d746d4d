"""Requests that a model words: over HTTP, with good, bad, cut, slow and refusing answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.synth.tasks import growth
from nexau.synth.tasks.authored import TaskAuthor, Unreached, asked_of, faults, values_of
from nexau.synth.tasks.generate import Generator, Made, Settings
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.telling import Story
from nexau.synth.tasks.workshop import Workshop
from nexau.synth.worlds.reader import load_world
from tests.synth.scripted import Scripted, scripted_model

WORLD = Path(__file__).parents[2] / "examples" / "worlds" / "library.yaml"
SOME = 10
SITUATIONS = (
    ("before a journey", "Somebody has to know it before they leave for a while."),
    ("after a mix-up", "The papers of two people were exchanged, and one of them noticed."),
    ("new at work", "A colleague fell ill, and their desk is minded by a beginner."),
)


@pytest.fixture(scope="module")
def source() -> Iterator[WorldSource]:
    made = WorldSource(load_world(WORLD), rows=400)
    yield made
    made.close()


class Unproved(Workshop):
    """Plans are not played over MCP: the words are what is tested here."""

    async def proved(self, made: Any) -> list[Made]:
        return list(made)


def told(user: str) -> Any:
    return json.JSONDecoder().raw_decode(user.partition("\n\n")[2])[0]


def answer(system: str, user: str) -> str:
    """What a diligent model would write."""
    data = told(user)
    if "extend a tree" in system:
        name, situation = SITUATIONS[len(data["situations"])]
        return json.dumps({"name": name, "situation": situation})
    draft = data["draft"]
    if isinstance(draft, list):
        return json.dumps({"parts": [f"Well now: {part}" for part in draft]})
    made = {"request": f"Well now: {draft}"}
    made |= {"vague": f"Hm. {draft}"} if '"vague"' in user else {}
    made |= {"opening": "There is a matter to settle."} if '"opening"' in user else {}
    return json.dumps(made)


def model(server: Scripted, **options: Any) -> nexau.OpenAIModel:
    return nexau.OpenAIModel("m", base_url=server.url, api_key_env=None, retries=0, **options)


def make(
    source: WorldSource, server: Scripted, count: int = SOME, *, strict: bool = False, **more: Any
) -> list[Made]:
    kept = more.pop("kept", None)

    async def run() -> list[Made]:
        generator = Generator(source, Settings(seed=3))
        async with nexau.open_runtime() as runtime:
            workshop = Unproved(generator, runtime, nexau.Agent("x", nexau.PlanModel()))
            author = TaskAuthor(workshop, model(server, **more), kept=kept, strict=strict)
            return await author.make(0, count)

    return anyio.run(run)


def writers(made: list[Made]) -> set[str]:
    return {each.task.metadata.get("writer", "grammar") for each in made if each.task is not None}


def stories(source: WorldSource) -> list[tuple[Generator, Story]]:
    generator = Generator(source, Settings(seed=3))

    async def run() -> list[Story | None]:
        return [(await generator.story(number))[0] for number in range(SOME)]

    return [(generator, story) for story in anyio.run(run) if story is not None]


def test_a_model_words_what_was_executed(source: WorldSource, tmp_path: Path) -> None:
    with scripted_model(answer) as server:
        made = make(source, server, kept=tmp_path / "w.jsonl")
    assert writers(made) == {"model m"}
    plain = {each.number: each for each in grammar(source)}
    for each in made:
        assert each.task is not None
        old = plain[each.number].task
        assert old is not None
        assert (each.task.plan, each.task.check) == (old.plan, old.check)
        assert each.task.input != old.input
    kept = (tmp_path / "w.jsonl").read_bytes().splitlines()
    assert len(kept) == sum(server.played.values())


def grammar(source: WorldSource) -> list[Made]:
    generator = Generator(source, Settings(seed=3))

    async def run() -> list[Made]:
        return [await generator.make(number) for number in range(SOME)]

    return anyio.run(run)


@pytest.mark.parametrize("kind", ["malformed", "truncated", "refuse", "empty"])
def test_what_is_wrong_goes_back_and_is_mended(source: WorldSource, kind: str) -> None:
    with scripted_model(answer, lambda _, attempt: kind if attempt == 0 else "good") as server:
        made = make(source, server)
    assert writers(made) == {"model m"}
    again = [r["messages"][-1]["content"] for r in server.requests]
    assert any("It was refused" in text for text in again)


def test_a_model_that_never_learns_leaves_it_to_the_grammar(source: WorldSource) -> None:
    with scripted_model(answer, lambda _, __: "refuse") as server:
        made = make(source, server)
    assert server.played["refuse"] == 4 * SOME
    assert writers(made) == {"grammar"}
    assert {each.unwritten for each in made} == {
        "the model's words: the answer holds no JSON object"
    }
    with scripted_model(answer, lambda _, __: "refuse") as server:
        strict = make(source, server, strict=True)
    assert all(each.task is None for each in strict)
    assert all("the model's words: the answer holds no JSON object" in e.refused for e in strict)


def test_a_slow_answer_is_a_failed_attempt(source: WorldSource) -> None:
    def script(_: str, attempt: int) -> str:
        return "slow" if attempt == 0 else "good"

    with scripted_model(answer, script, slow=60.0) as server:
        made = make(source, server, 2, timeout=2.0)
    assert writers(made) == {"model m"}


def test_a_model_that_cannot_be_had_ends_it(source: WorldSource) -> None:
    with scripted_model(answer, lambda _, __: "broken") as server:
        with pytest.raises(Unreached, match="cannot be had"):
            make(source, server, 2)


def test_words_are_held_to_the_values(source: WorldSource) -> None:
    told_of = [pair for pair in stories(source) if values_of(pair[1].draft)]
    assert told_of
    for generator, story in told_of:
        if story.shape == "conversation":
            parts = list(story.words.parts)
            assert faults(generator, story, {"parts": parts}) == []
            assert faults(generator, story, {"parts": parts[:-1]})
            assert faults(generator, story, {"parts": ["Please see to it." for _ in parts]})
            continue
        text, vague = story.words.text, story.words.fuzzy or story.words.text
        beside = {"vague": vague, "opening": "There is a matter to settle."}
        assert faults(generator, story, {"request": text, **beside}) == []
        value = values_of(story.draft)[0]
        found = faults(generator, story, {"request": "Please see to it.", **beside})
        assert f'"request": lacks the value {value}' in found
        tool = story.draft.steps[0].tool.name
        named = faults(generator, story, {"request": f"{text} Use {tool}.", **beside})
        assert named == [f'"request": gives away the tool {tool}']


def test_words_do_not_hold_the_answer(source: WorldSource) -> None:
    asked = [
        (generator, story)
        for generator, story in stories(source)
        if story.shape not in ("conversation", "chat", "alien")
        and any(goal.kind == "look" for goal in story.draft.goals)
    ]
    assert asked
    for generator, story in asked:
        goal = next(goal for goal in story.draft.goals if goal.kind == "look")
        fact = str(goal.facts[0].value)
        if len(fact) < 2:
            continue  # a digit stands in any text
        text = f"{story.words.text} Is it {fact}?"
        found = faults(generator, story, {"request": text, "vague": text, "opening": text})
        assert any("holds the answer" in each for each in found), (text, found)


def test_what_the_model_is_told_has_no_answer(source: WorldSource) -> None:
    for _, story in stories(source):
        text = asked_of(story, "")
        for goal in story.draft.goals:
            if goal.kind == "look":
                assert str(goal.facts[0].value).casefold() not in json.dumps(told(text)).casefold()


def test_the_tree_grows(
    source: WorldSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "GROWTH", 1.0)
    kept = tmp_path / "t.writing.jsonl"
    with scripted_model(answer) as server:
        made = make(source, server, kept=kept)
    grown = [
        json.loads(line) for line in (tmp_path / "t.writing.types.jsonl").read_text().splitlines()
    ]
    assert [each["number"] for each in grown] == list(range(SOME))
    assert all(len(each["path"]) == 5 for each in grown)
    with scripted_model(answer) as server:
        again = make(source, server, kept=kept)
    assert not any("extend a tree" in str(r["messages"][0]) for r in server.requests)
    assert [each.task for each in again] == [each.task for each in made]


def test_a_type_that_is_none_is_not_grown(
    source: WorldSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "GROWTH", 1.0)

    def stubborn(system: str, user: str) -> str:
        if "extend a tree" in system:
            return json.dumps({"name": "three", "situation": "They have 3 books to give back."})
        return answer(system, user)

    with scripted_model(stubborn) as server:
        made = make(source, server, 3)
    assert all(len(each.task.metadata["type"]) == 4 for each in made if each.task is not None)
    sent = [str(r["messages"][-1]) for r in server.requests]
    assert any("numbers come from the data" in text for text in sent)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "gpt"], "--model: expected openai:NAME"),
        (["--model", "openai:x", "--workers", "2"], "--workers is for the grammar"),
        (["--strict"], "--strict goes with --model"),
    ],
)
def test_wrong_models_are_said_in_one_line(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["synth", "tasks", str(WORLD), *arguments])
    assert done.exit_code == 2
    assert says in done.stderr
