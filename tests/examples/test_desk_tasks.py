"""The gold plans of the desk's tasks do what their metadata says."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tasks import WORLD, Writer

from nexau.synth.worlds.engine import call as call_tool
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.state import State, Template

DESK = Path(__file__).parents[2] / "examples" / "desk"
Task = dict[str, Any]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    with closing(Writer(1)) as writer:
        return list(writer.tasks(300))


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with closing(Template(load_world(WORLD))) as made:
        yield made


class Player:
    """Plays a plan on a state of its own, and counts."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.refusals: list[str] = []
        self.depth = 0
        self.calls = 0

    def play(self, plan: dict[str, Any], depth: int = 1) -> str:
        self.depth = max(self.depth, depth)
        results: dict[str, Any] = {}
        for turn in plan["turns"]:
            for call in turn:
                assert call["id"] not in results
                results[call["id"]] = self._call(call, results, depth)
        assert isinstance(plan["answer"], str)
        return str(plan["answer"])

    def _call(self, call: Task, results: dict[str, Any], depth: int) -> Any:
        self.calls += 1
        arguments = {name: _resolve(value, results) for name, value in call["arguments"].items()}
        if "plan" in call:
            assert set(arguments) == {"task"}
            return self.play(call["plan"], depth + 1)
        self.depth = max(self.depth, depth + 1)
        answer = call_tool(self.state, call["name"], arguments)
        if answer.is_error:
            self.refusals.append(answer.code)
        return {} if answer.is_error else answer.body


def _resolve(value: Any, results: dict[str, Any]) -> Any:
    if not isinstance(value, dict) or "$result" not in value:
        return value
    found = results[value["$result"]]
    for part in value["pointer"].strip("/").split("/"):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def test_every_plan_does_what_it_says(tasks: list[Task], template: Template) -> None:
    with closing(template.state()) as fresh:
        untouched = fresh.digest()
    depths: Counter[str] = Counter()
    for task in tasks:
        with closing(template.state()) as state:
            player = Player(state)
            player.play(task["plan"])
            expected = task["metadata"]
            assert len(player.refusals) == expected["refused"], (task["id"], player.refusals)
            assert "invalid_arguments" not in player.refusals, task["id"]
            assert (state.digest() != untouched) == expected["writes"], task["id"]
            depths[expected["kind"]] = max(depths[expected["kind"]], player.depth)
    assert depths["large_refund"] == 4, "desk -> refunds -> auditor -> tool"
    assert min(depths.values()) >= 3, "desk -> sub-agent -> tool"


def test_the_tasks_vary(tasks: list[Task]) -> None:
    kinds = Counter(task["metadata"]["kind"] for task in tasks)
    assert len(kinds) == 9
    assert max(kinds.values()) - min(kinds.values()) <= 1
    assert len({task["id"] for task in tasks}) == len(tasks)
    assert len({task["input"] for task in tasks}) > 250


@pytest.mark.parametrize("file", ["agent.http.yaml", "agent.stdio.yaml"])
def test_every_agent_may_call_what_its_plans_call(tasks: list[Task], file: str) -> None:
    """Names alone, without the runtime: patterns are expanded against the catalogue."""
    agent = yaml.safe_load((DESK / file).read_text())

    def check(agent: Task, plan: Task) -> None:
        patterns = [pattern for tool in agent["tools"] for pattern in tool["include"]]
        below = {child["name"]: child for child in agent.get("agents", [])}
        for call in (call for turn in plan["turns"] for call in turn):
            if "plan" in call:
                check(below[call["name"]], call["plan"])
            else:
                assert any(Path(call["name"]).match(pattern) for pattern in patterns), call["name"]

    for task in tasks:
        check(agent, task["plan"])


def test_the_script_writes_the_same_lines_each_time(tmp_path: Path) -> None:
    command = (sys.executable, DESK / "tasks.py", "--count", "20")
    printed = subprocess.run((*command, "--seed", "3"), check=True, capture_output=True).stdout
    file = tmp_path / "new" / "tasks.jsonl"
    subprocess.run((*command, "--seed", "3", "--output", file), check=True)
    assert file.read_bytes() == printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert len(lines) == 20
    other = subprocess.run((*command, "--seed", "4"), check=True, capture_output=True).stdout
    assert other != printed
