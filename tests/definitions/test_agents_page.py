"""The examples of docs/agents.md are what it says they are."""

import re
import types
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nexau.definitions.agentfile import check_agent, load_agent
from nexau.definitions.functions import python_tool
from nexau.definitions.prompts import render
from nexau.definitions.values import Prompt, PythonTool
from nexau.models.check_plan import check_plan
from nexau.models.script import read_script
from nexau.tasks.lines import TaskLines

Write = Callable[..., Path]
PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text("utf-8")


def block(language: str, index: int = 0) -> str:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return found[index]


@pytest.fixture
def desk(write: Write) -> Path:
    write("tools.py", 'def today() -> str:\n    """The date."""\n    return "2026-03-02"\n')
    write("prompts/researcher.md", "Look for {{ task }}.")
    write("agents/auditor.yaml", "name: auditor\ndescription: Audits.\nmodel: plan\n"
                                 "tools: [{mcp: notes}]\n")  # fmt: skip
    return write("desk.yaml", block("yaml"))


def test_the_agent(desk: Path) -> None:
    assert check_agent(desk, environ={"NOTES_TOKEN": "x"}) == []
    agent = load_agent(desk)
    assert [child.name for child in agent.agents] == ["researcher", "auditor"]
    assert agent.agents[0].model == agent.model


def test_the_problems(desk: Path, write: Write) -> None:
    text = (
        block("yaml").replace("tools:today", "tools:todya").replace("researcher.md", "researchr.md")
    )
    auditor = Path("agents/auditor.yaml")
    auditor.write_text(auditor.read_text().replace("mcp: notes", "mcp: nots"))
    found = [str(each) for each in check_agent(write("desk.yaml", text), environ=None)]
    shown = [line.strip() for line in PAGE.splitlines() if re.match(r"    [a-z/]+\.yaml:\d", line)]
    assert found == shown


def test_the_function() -> None:
    module = types.ModuleType("page")
    exec(block("python"), vars(module))
    tool = python_tool(module.search)
    assert isinstance(tool, PythonTool)
    properties = tool.spec.parameters["properties"]
    assert properties["query"]["description"] == "Words that all have to occur."
    assert properties["limit"] == {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}
    assert properties["where"]["description"] == "Which store"


def test_the_tasks_and_the_plan() -> None:
    lines = TaskLines("page")
    made = lines.feed(block("json").encode())
    assert made.error is None
    assert [task.id for task in made.tasks] == ["t1", "2"]
    plan = msgspec.json.decode(block("json", 1))["plan"]
    assert check_plan(plan) == []


def test_the_script(write: Write) -> None:
    script = read_script(write("turns.yaml", block("yaml", 1)))
    assert list(script) == ["root", "root/researcher#*"]


def test_the_prompts() -> None:
    for template, text in (
        ('{{ shop | default("the shop") }}', "the shop"),
        ("{% raw %}{{{% endraw %}", "{{"),
    ):
        assert f"`{template}`" in PAGE
        assert render(Prompt(template), "t", {}) == text
