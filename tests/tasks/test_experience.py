"""(state, action, next state): alternatives at a state of the gold plan, on a served world."""

from pathlib import Path

import pytest

import nexau
from nexau.synth.tasks.experience import experiences
from tests.tasks.test_judge import agent_file, play, tasks

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
REPEATS = 5


async def test_alternatives_at_one_state_of_each_task(tmp_path: Path) -> None:
    gold = await play(agent_file(tmp_path))
    explored = await play(agent_file(tmp_path, "explore"), repeat=REPEATS)
    found = list(experiences([*explored, *gold]))
    by_task = {task.id: [each for each in found if each.task == task.id] for task in tasks()}
    assert any(len(each) >= 3 for each in by_task.values())
    for each in by_task.values():
        assert len({(one.agent, one.turn) for one in each}) <= 1
        for one in each:
            assert one.action
            assert len(one.action) == len(one.next_state)
            assert one.expert
            assert one.expert_next
            acted = [(call.name, call.arguments) for call in one.action]
            assert acted != [(call.name, call.arguments) for call in one.expert]
            assert [step.turn for step in one.state] == list(range(one.turn))
    assert all(isinstance(each, nexau.Trajectory) for each in gold)
