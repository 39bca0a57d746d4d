"""examples/hello: the smallest agent, played to its end."""

from pathlib import Path

import pytest

import nexau

pytestmark = pytest.mark.anyio
HELLO = Path(__file__).parents[2] / "examples" / "hello"


async def test_plans() -> None:
    agent = nexau.load_agent(HELLO / "agent.yaml")
    async with nexau.open_runtime() as runtime:
        tasks = nexau.read_tasks(HELLO / "tasks.jsonl")
        async with runtime.rollouts(agent, tasks) as run:
            answers = {done.task: done.answer async for done in run}
    assert answers == {
        "half-a-pound": "Half a pound is 226.8 grams.",
        "for-six": "1360.8 grams of flour and 1020.6 grams of sugar.",
        "wrong-unit": "I cannot convert stones.",
    }


async def test_script() -> None:
    agent = nexau.load_agent(HELLO / "scripted.yaml")
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(agent, "How many grams is half a pound?")
    assert done.status == "completed"
    assert done.steps[0].results[0].structured == 226.8
