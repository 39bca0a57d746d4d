"""`--workers`: as one process, in every way in which a run can end."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import nexau
from nexau.definitions.functions import python_tool
from nexau.histogram import Histogram
from nexau.testing import FunctionPolicy
from nexau.workers.agentpickle import pickled, unpickled
from tests.cli.conftest import Start, task, write_tasks
from tests.cli.test_interrupts import finished, started

FOREVER = 3600.0
WORKER = "nexau.workers.process"


def workers_of(pid: int) -> list[psutil.Process]:
    """Both, in the order in which they were started; waits until the second is there too."""
    deadline = time.monotonic() + 60
    while len(found := [each for each in psutil.Process(pid).children() if _is_worker(each)]) < 2:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def _is_worker(process: psutil.Process) -> bool:
    try:
        return WORKER in process.cmdline()
    except psutil.Error:  # ended, or not yet past its exec
        return False


@pytest.fixture(autouse=True)
def nobody_left(place: Path) -> Iterator[None]:
    """No worker that was started in this place outlives its test."""
    yield
    left = [each for each in psutil.process_iter() if _is_ours(each, place)]
    assert not psutil.wait_procs(left, timeout=150)[1]


def _is_ours(process: psutil.Process, place: Path) -> bool:
    try:
        return WORKER in process.cmdline() and process.cwd() == str(place)
    except psutil.Error:
        return False


def stable(line: dict[str, Any]) -> str:
    """A trajectory without what two runs of it never share."""
    for part in (line, *line["steps"]):
        for name in ("timing", "seconds", "started_at"):
            part.pop(name, None)
        for result in part.get("results", ()):
            result.pop("seconds", None)
    return json.dumps(line, sort_keys=True)


def test_the_same_trajectories_as_in_one_process(process: Start, place: Path) -> None:
    found: list[Counter[str]] = []
    for count in ("1", "2"):
        summary = f"summary-{count}.json"
        options = ["--repeat", "6", "-c", "4", "--workers", count, "--summary", summary]
        running = process("rollout", "agent.yaml", "tasks.jsonl", *options)
        out, err = running.communicate(timeout=150)
        assert running.returncode == 0, err
        found.append(Counter(stable(json.loads(line)) for line in out.splitlines()))
    one, two = (json.loads((place / f"summary-{n}.json").read_text()) for n in "12")
    assert found[0] == found[1]
    assert found[0].total() == 30
    for name in ("rollouts", "by_status", "failures", "steps", "calls", "delegations", "usage"):
        assert one[name] == two[name]
    assert two["peak_memory_bytes"] > one["peak_memory_bytes"]


@pytest.mark.slow
def test_both_work_and_ctrl_c_seals_what_they_run(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(FOREVER, id=str(i)) for i in range(20)])
    options = ["-c", "4", "--workers", "2", "--emit", "events", "--grace", "0.1"]
    running = process("rollout", "agent.yaml", "long.jsonl", *options)
    started(running, 4)
    workers_of(running.pid)
    running.send_signal(signal.SIGINT)
    statuses, said = finished(running)
    assert running.returncode == 130
    assert statuses == {"cancelled": 4}
    assert "no new rollouts" in said


@pytest.mark.slow
def test_one_ctrl_c_lets_what_runs_finish(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(1.0, id=str(i)) for i in range(200)])
    options = ["-c", "4", "--workers", "2", "--emit", "events", "--grace", "60"]
    running = process("rollout", "agent.yaml", "long.jsonl", *options)
    started(running, 4)
    running.send_signal(signal.SIGTERM)
    statuses, _ = finished(running)
    assert running.returncode == 130
    assert set(statuses) == {"completed"}
    assert 4 <= statuses["completed"] < 40


@pytest.mark.slow
def test_a_reader_that_leaves_ends_the_run(process: Start, place: Path) -> None:
    running = process("rollout", "agent.yaml", "tasks.jsonl", "--repeat", "100000", "-w", "2")
    assert running.stdout is not None
    assert running.stdout.readline().endswith(b"}\n")
    running.stdout.close()
    assert running.wait(150) == 0


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_the_run(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(1.0, id=str(i)) for i in range(6)])
    options = ["-c", "4", "--workers", "2", "--emit", "events"]
    running = process("rollout", "agent.yaml", "long.jsonl", *options)
    started(running, 4)
    victim = workers_of(running.pid)[0]
    victim.kill()
    statuses, said = finished(running)
    assert running.returncode == 1
    assert "was killed by SIGKILL; the rollouts that it ran are lost" in said
    assert set(statuses) == {"completed"}  # of the other, which ended what it had


@pytest.mark.slow
def test_workers_of_a_parent_that_is_killed_leave(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(FOREVER, id=str(i)) for i in range(20)])
    running = process("rollout", "agent.yaml", "long.jsonl", "-w", "2", "--emit", "events")
    started(running, 4)
    left = workers_of(running.pid)
    running.kill()
    assert not psutil.wait_procs(left, timeout=20)[1]


@pytest.mark.slow
def test_a_line_that_is_no_task(process: Start, place: Path) -> None:
    with (place / "tasks.jsonl").open("a") as file:
        file.write("[1, 2\n")
    running = process("rollout", "agent.yaml", "tasks.jsonl", "--workers", "2")
    out, err = running.communicate(timeout=150)
    assert running.returncode == 2
    assert len(out.splitlines()) == 5
    assert b"tasks.jsonl:6" in err
    assert b"Traceback" not in err


@pytest.mark.slow
def test_what_is_wrong_with_an_agent_is_told_once(process: Start, place: Path) -> None:
    (place / "agent.yaml").write_text("name: a\nmodel: plan\ntools: [cli_doings:nothing]\n")
    running = process("rollout", "agent.yaml", "tasks.jsonl", "--workers", "2")
    out, err = running.communicate(timeout=150)
    assert (running.returncode, out) == (2, b"")
    assert err.count(b"cli_doings") == 1


@pytest.mark.slow
def test_a_server_that_cannot_start(process: Start, place: Path) -> None:
    text = "name: a\nmodel: plan\ntools: [{mcp: x}]\nmcp_servers: {x: {command: no-such-command}}\n"
    (place / "agent.yaml").write_text(text)
    running = process("rollout", "agent.yaml", "tasks.jsonl", "--workers", "2")
    out, err = running.communicate(timeout=150)
    assert (running.returncode, out) == (1, b"")
    assert b"no-such-command" in err
    assert b"Traceback" not in err


async def pid() -> str:
    """The process that runs it."""
    return str(os.getpid())


def agent_in_code(function: Any) -> nexau.Agent:
    return nexau.Agent("in-code", nexau.PlanModel(), tools=(python_tool(function),))


def test_the_facade_takes_an_agent_made_in_code(place: Path) -> None:
    plan = {"turns": [[{"id": "a", "name": "pid", "arguments": {}}]], "answer": "done"}
    tasks = [{"input": "who?", "plan": plan, "id": str(i)} for i in range(40)]
    found = list(nexau.rollouts(agent_in_code(pid), tasks, concurrency=8, workers=2))
    seen = {result.content[0].text for each in found for result in each.steps[0].results}  # type: ignore[union-attr]
    assert len(found) == 40
    assert len(seen) == 2
    assert str(os.getpid()) not in seen


@pytest.mark.slow
def test_the_facade_may_be_left_early(place: Path) -> None:
    tasks = [task(0 if i < 4 else FOREVER, id=str(i)) for i in range(16)]
    for trajectory in nexau.rollouts("agent.yaml", tasks, concurrency=8, workers=2):
        assert trajectory.status == "completed"
        break


def test_a_function_without_a_name_cannot_travel() -> None:
    async def local() -> str:
        """Is nobody's."""
        return ""

    with pytest.raises(nexau.DefinitionError, match=r"local.*path of an agent file"):
        pickled(agent_in_code(local))
    with pytest.raises(nexau.DefinitionError, match="worker processes"):
        pickled(nexau.Agent("a", FunctionPolicy(lambda request: nexau.Turn("yes"))))


def test_functions_beside_an_agent_file_travel(place: Path) -> None:
    """By the name they have there: the module is not importable by that of another process."""
    (place / "tools.py").write_text("def mine() -> str:\n    return 'here'\n")
    (place / "agent.yaml").write_text("name: a\nmodel: plan\ntools: [tools:mine]\n")
    data = pickled(nexau.load_agent("agent.yaml"))
    assert b"nexau_folder" not in data
    (tool,) = unpickled(data, 1).tools
    assert isinstance(tool, nexau.PythonTool)
    assert tool.function() == "here"


def test_workers_share_the_limits_by_the_minute() -> None:
    model = nexau.OpenAIModel("m", requests_per_minute=90.0, tokens_per_minute=600.0)
    child = nexau.Agent("child", model)
    made = unpickled(pickled(nexau.Agent("parent", model, agents=(child,))), 3)
    for agent in (made, made.agents[0]):
        assert isinstance(agent.model, nexau.OpenAIModel)
        assert agent.model.requests_per_minute == 30.0
        assert agent.model.tokens_per_minute == 200.0


def test_histograms_add_up() -> None:
    whole, parts = Histogram(), [Histogram(), Histogram()]
    for number in range(1, 200):
        whole.add(number / 1000)
        parts[number % 2].add(number / 1000)
    merged = Histogram()
    for part in parts:
        merged.merge(part.buckets())
    assert merged.percentiles() == whole.percentiles()
    assert merged.count == whole.count
