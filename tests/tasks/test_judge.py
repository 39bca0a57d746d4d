"""Checks of tasks against the final state of a served world, read over MCP."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nexau
from nexau.definitions.values import DefinitionError, Task
from nexau.scoring.judging import Ended
from nexau.synth.tasks.judge import WorldJudge, exposed, worlds_of
from nexau.trajectory import Finished, Trajectory

pytestmark = pytest.mark.anyio
WORLDS = Path(__file__).parents[2] / "examples" / "worlds"

AGENT = """\
name: desk
model: {{kind: plan, style: {style}}}
tools: [{{mcp: shop}}]
mcp_servers:
  shop:
    url: "http://127.0.0.1:{{port}}/mcp"
    command: "{{python}}"
    args: [-m, nexau.cli.main, world, serve, {world}, --http, --port, "{{port}}", --no-latency]
    sessions: rollout
    reset: world_reset
"""


def agent_file(folder: Path, style: str = "gold") -> nexau.Agent:
    file = folder / f"{style}.yaml"
    file.write_text(AGENT.format(style=style, world=WORLDS / "retail-returns.yaml"))
    return nexau.load_agent(file)


def tasks() -> list[Task]:
    lines = (WORLDS / "retail-returns.tasks.jsonl").read_text().splitlines()
    return [nexau.Task(**json.loads(line)) for line in lines]


async def play(agent: nexau.Agent, **options: Any) -> list[Trajectory]:
    judge = WorldJudge(worlds_of(agent))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(exposed(agent), tasks(), judge=judge, **options) as run:
            return [trajectory async for trajectory in run]


async def test_gold_plans_are_worth_everything_and_false_claims_nothing(tmp_path: Path) -> None:
    gold = await play(agent_file(tmp_path), repeat=2)
    assert [t.reward for t in gold] == [1.0] * len(gold)
    assert all(t.score is not None and t.score.components["answer"] == 1.0 for t in gold)
    claims = await play(agent_file(tmp_path, "false_claim"))
    assert [t.reward for t in claims] == [0.0] * len(claims)
    assert all(t.score is not None and t.score.notes for t in claims)


async def test_a_world_that_hides_its_state_is_not_scored(tmp_path: Path) -> None:
    agent = agent_file(tmp_path)
    async with nexau.open_runtime() as runtime:
        judge = WorldJudge(worlds_of(agent))
        async with runtime.rollouts(agent, tasks()[:1], judge=judge) as run:
            trajectory = await anext(run)
    assert trajectory.status == "completed"
    assert trajectory.reward is None
    assert "--expose-state" in trajectory.unscored


def test_worlds_are_found_in_the_arguments_of_servers(tmp_path: Path) -> None:
    found = worlds_of(agent_file(tmp_path))
    assert found == {"shop": (str(WORLDS / "retail-returns.yaml"), None, None)}
    shown = exposed(agent_file(tmp_path))
    assert shown.mcp_servers["shop"].args[-1] == "--expose-state"
    assert exposed(shown) == shown


def test_a_judge_travels_to_other_processes(tmp_path: Path) -> None:
    judge = pickle.loads(pickle.dumps(WorldJudge(worlds_of(agent_file(tmp_path)))))
    assert isinstance(judge, WorldJudge)


def ended(check: Any, answer: str = "It is 42.", status: Any = "completed") -> Ended:
    finished = Finished("r", 0, 0.0, "root", status, answer)
    return Ended(Task("?", check=check), finished, (), None, {})


async def test_an_answer_can_be_checked_without_a_world() -> None:
    judge = WorldJudge({})
    right = await judge.judge(ended({"answer": {"contains": ["42"]}}))
    assert right is not None
    assert right.reward == 1.0
    wrong = await judge.judge(ended({"answer": {"contains": ["4"], "lacks": ["42"]}}))
    assert wrong is not None
    assert wrong.reward == 0.0
    assert len(wrong.notes) == 2
    early = await judge.judge(ended({"answer": {"contains": ["42"]}}, status="limit"))
    assert early is not None
    assert early.reward == 0.0
    assert await judge.judge(ended(None)) is None


@pytest.mark.parametrize("check", [{"changes": {}}, {"anser": {}}, {"expect": ["1 == 1"]}])
async def test_a_check_that_no_world_here_can_answer_is_an_error(check: Any) -> None:
    with pytest.raises(DefinitionError, match="check"):
        await WorldJudge({}).judge(ended(check))


@pytest.mark.slow
def test_scores_of_several_processes_are_added_up(tmp_path: Path) -> None:

    agent_file(tmp_path)
    command = [sys.executable, "-m", "nexau.cli.main", "rollout", str(tmp_path / "gold.yaml")]
    command += [str(WORLDS / "retail-returns.tasks.jsonl"), "--check", "--workers", "2", "-n", "2"]
    summary = tmp_path / "summary.json"
    command += ["--summary", str(summary)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    passes = json.loads(summary.read_bytes())["passes"]
    assert passes["scored"] == 2 * len(tasks())
    assert passes["pass_all"] == {"1": 1.0, "2": 1.0}
