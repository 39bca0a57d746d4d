"""What a request says: every value that its plan takes from it, in every shipped world."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from nexau.definitions.values import Task
from nexau.synth.tasks.generate import Generator, Settings
from nexau.synth.tasks.nouns import bounded, shown
from nexau.synth.tasks.source import WorldSource
from nexau.synth.worlds.reader import load_world

WORLDS = sorted((Path(__file__).parents[2] / "examples" / "worlds").glob("*.yaml"))
SOME = 8


def asked(task: Task) -> str:
    """All that the user says, before it was made vague."""
    later = [] if task.user is None else [each.say for each in task.user.says]
    return " ".join([str(task.metadata.get("original", "")), task.input, *later]).casefold()


def given(task: Task) -> list[Any]:
    """The values that calls of the plan take from no other call."""
    found: list[Any] = []
    for part in (task.plan, *task.plan.get("then", ())):
        for call in (call for turn in part["turns"] for call in turn):
            for value in call["arguments"].values():
                if isinstance(value, list):
                    found += value
                elif not (isinstance(value, dict) and "$result" in value):
                    found.append(value)
    return found


@pytest.mark.parametrize("world", WORLDS, ids=lambda path: path.stem)
def test_each_argument_of_the_request_stands_in_it(world: Path) -> None:
    source = WorldSource(load_world(world))
    generator = Generator(source, Settings(seed=23))

    async def make() -> list[Task]:
        made = [await generator.make(number) for number in range(SOME)]
        return [each.task for each in made if each.task is not None]

    try:
        tasks = anyio.run(make)
    finally:
        source.close()
    assert tasks
    for task in tasks:
        text = asked(task)
        for value in given(task):
            assert str(value).casefold() in text or shown(value).casefold() in text, task


def test_bounds_are_said_as_people_say_them() -> None:
    assert bounded("since", "2026-01-02") == "since 2026-01-02"
    assert bounded("min_seats", 3) == "with at least 3 seats"
    assert bounded("at_least", 3) == "with at least 3"
    assert bounded("kind", "debit") == "with kind debit"
