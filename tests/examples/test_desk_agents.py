"""The demo: the delegating agent, with its plans, on the desk's server."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pytest
from tasks import Writer

import nexau
from nexau import Task, Trajectory

DESK = Path(__file__).parents[2] / "examples" / "desk"


def tasks(count: int) -> list[Task]:
    with closing(Writer(1)) as writer:
        return [Task(**task) for task in writer.tasks(count)]


def refusals(trajectory: Trajectory) -> int:
    results = (result for step in trajectory.steps for result in step.results)
    return sum(result.error_class == "tool_error" for result in results)


def check(trajectory: Trajectory) -> None:
    assert trajectory.status == "completed", (trajectory.id, trajectory.error)
    assert refusals(trajectory) == trajectory.metadata["refused"], trajectory.id
    agents = {step.agent for step in trajectory.steps}
    if trajectory.metadata["kind"] == "large_refund":
        assert any(path.count("/") == 2 for path in agents), "desk -> refunds -> auditor"


@pytest.mark.parametrize("file", ["agent.http.yaml", "agent.stdio.yaml"])
def test_the_agent_files_load(file: str) -> None:
    agent = nexau.load_agent(DESK / file)
    assert agent.name == "desk"
    assert [child.name for child in agent.agents] == ["records", "refunds"]
    assert [child.name for child in agent.agents[1].agents] == ["auditor"]


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(("file", "count"), [("agent.http.yaml", 72), ("agent.stdio.yaml", 27)])
async def test_every_rollout_sees_a_state_of_its_own(file: str, count: int) -> None:
    """Each task is run twice: a state that leaked would refuse the second return of an item."""
    agent = nexau.load_agent(DESK / file)
    kinds: Counter[str] = Counter()
    async with (
        nexau.open_runtime() as runtime,
        runtime.rollouts(agent, tasks(count), concurrency=64, repeat=2) as run,
    ):
        async for trajectory in run:
            check(trajectory)
            kinds[trajectory.metadata["kind"]] += 1
    assert sum(kinds.values()) == 2 * count
    assert len(kinds) == 9
    assert not [child for child in psutil.Process().children() if "world serve" in _line(child)]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_the_command_line_writes_one_line_for_each_task(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in tasks(18)))
    command = (sys.executable, "-m", "nexau.cli.main", "rollout", DESK / "agent.http.yaml", file)
    done = subprocess.run(
        (*command, "--concurrency", "64"),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = [msgspec.json.decode(line, type=Trajectory) for line in done.stdout.splitlines()]
    assert {line.task for line in lines} == {f"desk-{number:04}" for number in range(1, 19)}
    for trajectory in lines:
        check(trajectory)
