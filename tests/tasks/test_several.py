"""Tasks over several worlds: branches that meet across servers, distractors, one reward for all."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec
import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.synth.tasks.across import ACROSS
from nexau.synth.tasks.building import Unusable
from nexau.synth.tasks.drafting import Drafter
from nexau.synth.tasks.generate import Generator, Settings
from nexau.synth.tasks.goals import resolved
from nexau.synth.tasks.judge import WorldJudge, exposed, worlds_of
from nexau.synth.tasks.sitting import Sources
from nexau.synth.tasks.source import WorldSource
from nexau.synth.tasks.stands import agent_of, agent_yaml, stands_of
from nexau.synth.tasks.structs import Draft, Leaf, Reply, Step, Tool
from nexau.synth.worlds.reader import load_world
from nexau.trajectory import Trajectory

WORLDS = Path(__file__).parents[2] / "examples" / "worlds"
NAMES = ("retail-returns", "clinic", "bank-disputes")
FILES = [WORLDS / f"{name}.yaml" for name in NAMES]
SOME = 24


@pytest.fixture(scope="module")
def sources() -> Iterator[Sources]:
    made = [WorldSource(load_world(file)) for file in FILES]
    yield Sources(made)
    for source in made:
        source.close()


def tasks_of(sources: Sources, count: int, **settings: Any) -> list[nexau.Task]:
    generator = Generator(sources, Settings(**settings))

    async def make() -> list[nexau.Task]:
        made = [await generator.make(number) for number in range(count)]
        return [each.task for each in made if each.task is not None]

    return anyio.run(make)


@pytest.fixture(scope="module")
def fused(sources: Sources) -> list[nexau.Task]:
    return tasks_of(sources, SOME, seed=11, fusion=2)


def test_branches_of_different_servers_meet(fused: list[nexau.Task]) -> None:
    assert len(fused) >= SOME - 4
    for task in fused:
        assert task.metadata["type"][2].startswith(ACROSS)
        assert task.metadata["sources"] >= 2
        assert len(task.metadata["servers"]) >= 2
    kinds = Counter(task.metadata["type"][2] for task in fused)
    assert len(kinds) >= 4


def test_a_task_names_its_servers_and_those_beside_them(sources: Sources) -> None:
    tasks = tasks_of(sources, SOME, seed=5, distractors=1)
    for task in tasks:
        needed, beside = task.metadata["servers"], task.metadata["distractors"]
        assert list(task.servers) == [*needed, *beside]
        assert len(beside) == min(1, len(NAMES) - len(needed))
        assert task.check.get("worlds", {}).keys() == set(task.servers)
        for name in beside:
            assert task.check["worlds"][name] == {"changes": {}}
        used = {name.partition("/")[0] for name in task.metadata["calls"].values()}
        assert used == set(needed)
    outside = [task for task in tasks if task.metadata["shape"] in ("alien", "chat")]
    assert outside
    assert all(task.metadata["servers"] == [] and task.servers for task in outside)


@pytest.mark.parametrize("kind", ["total", "compare", "constrain", "contradict", "carry"])
def test_each_kind_meets_across_servers(sources: Sources, kind: str) -> None:
    drafter = Drafter(sources)
    tools = sorted(leaf[3] for leaf in drafter.leaves if leaf[2] == f"{ACROSS}{kind}")

    async def find() -> Draft:
        for number in range(80):
            chance = Random(f"{kind}/{number}")
            with suppress(Unusable):
                tool = chance.choice(tools)
                return (await drafter.draft(f"{ACROSS}{kind}", tool, "easy", 2, chance))[0]
        raise AssertionError("nothing was found")

    draft = anyio.run(find)
    goal = draft.goals[0]
    needed = {goal.target, *goal.others} | draft.step(goal.target).needs
    assert len({draft.step(name).tool.server for name in needed}) == 2
    if kind == "carry":
        taken = draft.step(goal.target).needs
        assert any(draft.step(name).tool.server != draft.step(goal.target).tool.server
                   for name in taken)  # fmt: skip


def test_names_that_clash_are_those_that_the_runtime_gives(tmp_path: Path) -> None:
    made = [WorldSource(load_world(FILES[0]), name=name) for name in ("north", "south")]
    names = Sources(made).tools
    assert "north_get_order" in names
    assert "south_get_order" in names
    assert "get_order" not in names
    for source in made:
        source.close()


def test_of_two_records_that_disagree_the_later_counts() -> None:
    tool = Tool("w", "get", "", True, (), "x")
    steps = [Step("a", tool, {}), Step("b", tool, {})]

    def reply(state: str, day: str) -> Reply:
        leaves = (Leaf("/state", "state", state), Leaf("/changed_on", "changed_on", day))
        return Reply({}, leaves)

    replies = {"a": reply("open", "2026-01-03"), "b": reply("closed", "2026-01-02")}
    chance = Random(1)
    goal = resolved(steps[0], steps[1], replies, chance)
    assert goal is not None
    assert goal.facts[0].value == "open"
    assert (
        resolved(steps[0], steps[1], replies | {"b": reply("open", "2026-01-02")}, chance) is None
    )


def play(folder: Path, tasks: list[nexau.Task], model: str = "plan") -> list[Trajectory]:
    file = folder / "desk.agent.yaml"
    made = agent_yaml(agent_of(stands_of(FILES, None), folder)).decode()
    file.write_text(made.replace("model: plan", f"model: {model}"))
    agent = nexau.load_agent(file)

    async def run() -> list[Trajectory]:
        async with nexau.open_runtime() as runtime:
            judge = WorldJudge(worlds_of(agent))
            async with runtime.rollouts(exposed(agent), tasks, judge=judge) as played:
                return [each async for each in played]

    return anyio.run(run)


@pytest.mark.slow
def test_plans_get_the_whole_reward_and_claims_none(
    fused: list[nexau.Task], tmp_path: Path
) -> None:
    plain = [task for task in fused if task.user is None]
    gold = play(tmp_path, plain)
    assert [each.reward for each in gold] == [1.0] * len(plain)
    for each, task in zip(sorted(gold, key=lambda t: t.task), plain, strict=True):
        assert each.task == task.id
        served = {entry.server for entry in each.agents[0].served.values()}
        assert served
    claims = play(tmp_path, plain, "{kind: plan, style: false_claim}")
    assert [each.reward for each in claims] == [0.0] * len(plain)


@pytest.mark.slow
def test_a_world_beside_that_is_changed_costs_the_reward(
    fused: list[nexau.Task], tmp_path: Path
) -> None:
    task = next(t for t in fused if "clinic" in t.metadata["distractors"] and t.user is None)
    extra = {"id": "x", "name": "cancel_appointment", "arguments": {"appointment_id": "A-5171"}}
    plan = {**task.plan, "turns": [*task.plan["turns"], [extra]]}
    (played,) = play(tmp_path, [msgspec.structs.replace(task, plan=plan)])
    assert played.reward == 0.0
    assert played.score is not None
    assert played.score.components == {"state": 0.0, "answer": 1.0}
    assert any(note.startswith("clinic: ") for note in played.score.notes)


TEAM = """\
name: head
model: plan
agents:
  - {{name: shop, description: The shop., model: plan, tools: [{{mcp: retail-returns}}]}}
  - {{name: rest, description: All else., model: plan,
     tools: [{{mcp: clinic, prefix: c_}}, {{mcp: money}}]}}
mcp_servers:
  retail-returns: {{url: "http://127.0.0.1:{{port}}/mcp", command: "{{python}}", args: {shop},
    sessions: rollout, reset: world_reset}}
  clinic: {{url: "http://127.0.0.1:{{port}}/mcp", command: "{{python}}", args: {clinic},
    sessions: rollout, reset: world_reset}}
  money: {{url: "http://127.0.0.1:{{port}}/mcp", command: "{{python}}", args: {bank},
    sessions: rollout, reset: world_reset}}
"""


@pytest.mark.slow
def test_a_tree_does_tasks_of_several_servers(fused: list[nexau.Task], tmp_path: Path) -> None:
    def arguments(file: Path) -> str:
        words = ["-m", "nexau.cli.main", "world", "serve", str(file), "--http", "--port"]
        return json.dumps([*words, "{port}", "--no-latency"])

    shop, clinic, bank = map(arguments, FILES)
    team = tmp_path / "team.yaml"
    team.write_text(TEAM.format(shop=shop, clinic=clinic, bank=bank))
    flat, assigned = tmp_path / "flat.jsonl", tmp_path / "team.jsonl"
    flat.write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in fused))
    command = ["synth", "assign", str(flat), str(team), "--out", str(assigned)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    tasks = [msgspec.json.decode(x, type=nexau.Task) for x in assigned.read_bytes().splitlines()]
    assert len(tasks) == len(fused)
    assert all("bank-disputes" not in task.servers for task in tasks)
    agent = nexau.load_agent(team)

    async def run() -> list[Trajectory]:
        async with nexau.open_runtime() as runtime:
            judge = WorldJudge(worlds_of(agent))
            async with runtime.rollouts(exposed(agent), tasks, judge=judge) as played:
                return [each async for each in played]

    played = anyio.run(run)
    assert [(each.reward, each.score and each.score.notes) for each in played] == [
        (1.0, ()) for _ in tasks
    ]
    assert any(step.agent.startswith("root/") for each in played for step in each.steps)


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    def run(name: str, *more: str) -> bytes:
        out = tmp_path / name
        command = [sys.executable, "-m", "nexau.cli.main", "synth", "tasks", *map(str, FILES[:2])]
        command += ["--n", "20", "--seed", "4", "--out", str(out), *more]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    one = run("one.jsonl")
    assert run("three.jsonl", "--workers", "3") == one
    (tmp_path / "torn.jsonl").write_bytes(one[: len(one) // 2])
    assert run("torn.jsonl", "--workers", "2") == one
    reports = [json.loads((tmp_path / f"{n}.report.json").read_bytes()) for n in ("one", "three")]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([str(FILES[0]), str(FILES[0])], "two of the sources are called 'retail-returns'"),
        ([str(FILES[0]), "nowhere.yaml"], "nowhere.yaml"),
        ([str(FILES[0]), __file__], "expected a world, or a catalog"),
        ([str(FILES[0]), "--workers", "0"], "--workers"),
        ([str(FILES[0]), "--allow", "get_order"], "--allow: worlds need none"),
        ([str(FILES[0]), "--agent", "no/such/a.yaml"], "--agent: no directory"),
    ],
)
def test_wrong_sources_are_said_in_one_line(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["synth", "tasks", *arguments])
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
