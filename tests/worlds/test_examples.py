"""The shipped worlds: enough tools, rules that bite, tasks whose plans pass and idleness fails."""

from pathlib import Path

import pytest

from nexau.synth.worlds.checks import read_world_tasks
from nexau.synth.worlds.play import play
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.state import Template
from nexau.synth.worlds.trial import try_tasks, try_world
from tests.worlds.worlds_for_tests import EXAMPLES

each_world = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@each_world
def test_worlds_have_tools_rules_and_rows_that_hold(path: Path) -> None:
    world = load_world(path)
    assert len(world.tools) >= 12
    assert sum(not tool.read_only for tool in world.tools.values()) >= 4
    assert sum(len(tool.body.rule_steps) for tool in world.tools.values()) >= 8
    assert try_world(world) == []


@each_world
def test_tasks_pass_by_their_plan_and_by_nothing_less(path: Path) -> None:
    world = load_world(path)
    tasks, problems = read_world_tasks(path.with_suffix(".tasks.jsonl"), world)
    assert problems == []
    assert len(tasks) >= 5
    assert all(task.plan is not None and task.check is not None for task in tasks)
    assert try_tasks(world, tasks) == []


@each_world
def test_some_task_meets_a_rule_that_bites(path: Path) -> None:
    world = load_world(path)
    template = Template(world)
    tasks, _ = read_world_tasks(path.with_suffix(".tasks.jsonl"), world)
    codes: set[str] = set()
    for task in tasks:
        state = template.state()
        codes |= {made.answer.code for made in play(state, task.plan).calls if made.answer.is_error}
        state.close()
    template.close()
    rules = {step.error for tool in world.tools.values() for step in tool.body.rule_steps}
    assert codes & rules
