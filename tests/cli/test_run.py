"""`nexau run`: one rollout, as a line of JSON or to look at."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.terminal import on_terminal


def test_the_trajectory_is_one_line(call: Call) -> None:
    outcome = call("run", "scripted.yaml", "Do it")
    assert outcome.code == 0
    (line,) = outcome.lines
    assert (line["type"], line["status"], line["answer"]) == ("trajectory", "completed", "all done")
    assert line["input"] == "Do it"
    assert {step["agent"] for step in line["steps"]} == {"root", "root/helper#1"}


@pytest.mark.parametrize(("emit", "kind"), [("steps", "step"), ("events", "started")])
def test_other_lines(call: Call, emit: str, kind: str) -> None:
    outcome = call("run", "scripted.yaml", "Do it", "--emit", emit)
    assert outcome.code == 0
    assert outcome.lines[0]["type"] == kind


def test_variables_reach_the_prompt(call: Call) -> None:
    outcome = call("run", "agent.yaml", "hi", "--var", "name=Ada = 1", "--emit", "events")
    prompt = outcome.lines[0]["prompt"]
    assert prompt[0] == {"role": "system", "content": "You are Ada = 1."}


def test_variables_as_json(call: Call) -> None:
    outcome = call("run", "agent.yaml", "hi", "--var", 'name:=["a", 2]', "--emit", "events")
    assert outcome.lines[0]["prompt"][0]["content"] == "You are ['a', 2]."


def test_the_task_from_stdin(call: Call) -> None:
    outcome = call("run", "scripted.yaml", "-", stdin="Do it\nwell\n")
    assert outcome.lines[0]["input"] == "Do it\nwell"


def test_a_failure_is_exit_code_1(call: Call) -> None:
    outcome = call("run", "agent.yaml", "a task without a plan")
    assert outcome.code == 1
    assert outcome.lines[0]["error"]["kind"] == "model"


def test_a_limit_is_exit_code_3(call: Call, place: Path) -> None:
    text = (place / "scripted.yaml").read_text().replace("steps: 10", "steps: 1")
    (place / "short.yaml").write_text(text)
    outcome = call("run", "short.yaml", "Do it")
    assert outcome.code == 3
    assert outcome.lines[0]["limit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("agent.yaml",), "Missing argument 'TASK'"),
        (("agnet.yaml", "hi"), "did you mean 'agent.yaml'?"),
        (("agent.yaml", ""), "the task is empty"),
        (("agent.yaml", "hi", "--var", "name"), "expected NAME=TEXT"),
        (("agent.yaml", "hi", "--var", "1x=2"), "expected NAME=TEXT"),
        (("agent.yaml", "hi", "--var", "x:={"), "no JSON"),
        (("agent.yaml", "hi", "--seed", "x"), "valid integer"),
    ],
)
def test_wrong_input(call: Call, arguments: tuple[str, ...], said: str) -> None:
    outcome = call("run", *arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert not outcome.out


def test_on_a_terminal_the_steps_can_be_read(place: Path) -> None:
    code, shown = on_terminal("run", "scripted.yaml", "Do it")
    assert code == 0
    for expected in (
        "root (boss) Do it",
        "Let me look.",
        '→ helper {"task":"do it"}',
        "root/helper#1 (helper) do it",
        "← fail",
        "tool_error",
        "helped",
        "all done",
        "completed",
    ):
        assert expected in shown
    assert '"type":"trajectory"' not in shown


def test_output_of_tools_cannot_command_the_terminal(place: Path) -> None:
    _, shown = on_terminal("run", "scripted.yaml", "Do it", colour=True)
    assert "no \\x1b[31mred [bold]x[/bold]" in shown
    assert "\x1b[31mred" not in shown


def test_json_on_a_terminal_when_asked_for(place: Path) -> None:
    code, shown = on_terminal("run", "scripted.yaml", "Do it", "--json")
    assert code == 0
    assert shown.strip().startswith('{"type":"trajectory"')
    assert shown.strip().endswith("}")
