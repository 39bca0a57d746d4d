"""Plans for trees of agents: calls go where the tools are, values cross agents as seen."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.definitions.values import Agent, McpTools, Task
from nexau.models.check_plan import check_plan
from nexau.models.gold import GoldPlan
from nexau.synth.tasks.assign import Assigner, Unassignable
from nexau.synth.worlds.checks import compile_check
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.play import play
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.state import Template

WORLDS = Path(__file__).parents[2] / "examples" / "worlds"
WORLD = load_world(WORLDS / "retail-returns.yaml")


def tasks() -> list[Task]:
    lines = (WORLDS / "retail-returns.tasks.jsonl").read_text().splitlines()
    return [Task(**json.loads(line)) for line in lines]


def agent(name: str, *include: str, below: tuple[Agent, ...] = (), prefix: str = "") -> Agent:
    tools = (McpTools("shop", include, prefix=prefix),) if include else ()
    return Agent(name, nexau.PlanModel(), description=name, tools=tools, agents=below)


READS = ("get_*", "list_*", "find_*", "spending", "return_policy", "check_stock")
DEEP = agent("money", "issue_*", "approve_*", prefix="pay_")
TREE = agent(
    "head",
    "get_order",
    below=(
        agent("clerk", *READS),
        agent("desk", "open_*", "close_*", "cancel_*", "update_*", "add_*", below=(DEEP,)),
    ),
)


def names(plan: dict[str, Any], path: str = "root") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for turn in plan["turns"]:
        for call in turn:
            if "plan" in call:
                found += names(call["plan"], f"{path}/{call['name']}")
            else:
                found.append((path, call["name"]))
    return found


def test_every_call_goes_to_an_agent_that_has_the_tool() -> None:
    assigner = Assigner(WORLD, TREE)
    for task in tasks():
        made = assigner.assign(task)
        assert check_plan(made.plan) == []
        for path, name in names(made.plan):
            if path == "root":
                assert name == "get_order"
            elif path == "root/desk/money":
                assert name.startswith("pay_")
            else:
                assert path in ("root/clerk", "root/desk")
        flat = [call.name for turn in msgspec.convert(task.plan, GoldPlan).turns for call in turn]
        assert len(names(made.plan)) == len(flat)
    assigner.close()


def test_what_is_told_holds_every_value_that_crosses_agents() -> None:
    assigner = Assigner(WORLD, TREE)
    for task in tasks():
        for turn in assigner.assign(task).plan["turns"]:
            for call in turn:
                for value in told(call):
                    assert value in call["arguments"]["task"]
    assigner.close()


def told(call: dict[str, Any]) -> list[str]:
    """Literal values of the calls below a delegation."""
    if "plan" not in call:
        return []
    inside = [each for turn in call["plan"]["turns"] for each in turn]
    found = [
        value
        for each in inside
        if "plan" not in each
        for value in each["arguments"].values()
        if isinstance(value, str) and " " in value and "{{" not in value
    ]
    return found + [value for each in inside for value in told(each)]


def test_assigned_plans_reach_the_same_end() -> None:
    template = Template(WORLD)
    assigner = Assigner(WORLD, agent("head", below=(agent("all", "*"),)))
    for task in tasks():
        made = assigner.assign(task)
        state, before = template.state(), template.state()
        played = play(state, made.plan)
        outcome = evaluate(compile_check(WORLD, task.check), before, state, played.answer)
        assert outcome.passed, outcome.failures()
        state.close()
        before.close()
    assigner.close()
    template.close()


def test_a_tree_without_the_tool_is_told_so() -> None:
    assigner = Assigner(WORLD, agent("head", "get_*"))
    with pytest.raises(Unassignable, match="no agent of the tree has"):
        assigner.assign(tasks()[0])
    with pytest.raises(Unassignable, match="no plan"):
        assigner.assign(Task("x"))
    assigner.close()
    two = Agent("two", nexau.PlanModel(), tools=(McpTools("a"), McpTools("b")))
    with pytest.raises(Unassignable, match="2 servers"):
        Assigner(WORLD, two)


def test_the_command_writes_tasks_and_says_what_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    world = WORLDS / "retail-returns.yaml"
    file.write_text(
        "name: head\nmodel: plan\ntools: [{mcp: shop}]\nmcp_servers:\n  shop:\n"
        f"    command: nexau\n    args: [world, serve, {world}]\n"
    )
    out = tmp_path / "out.jsonl"
    given = [str(WORLDS / "retail-returns.tasks.jsonl"), str(file), "--out", str(out)]
    done = CliRunner().invoke(app, ["synth", "assign", *given])
    assert done.exit_code == 0, done.output
    assert len(out.read_bytes().splitlines()) == len(tasks())
    wrong = CliRunner().invoke(app, ["synth", "assign", given[0], str(tmp_path / "no.yaml")])
    assert wrong.exit_code == 2
    assert "no.yaml" in wrong.stderr
