"""Hierarchies that a model writes: over HTTP, with good, bad, cut, slow and refusing answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.synth.agents.candidates import Maker
from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.hierarchy import Hierarchy
from nexau.synth.agents.store import read_index
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.written import group_request, match, numbered, problems
from nexau.synth.authoring import author, write

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripted import Scripted, scripted_model  # type: ignore[import-not-found]

Texts = dict[str, dict[str, str]]


def group_of(user: str) -> dict[str, Any]:
    text = user.partition("The group:\n")[2]
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return found


def texts(user: str) -> Texts:
    """What a diligent model would write of the group."""
    group = group_of(user)
    made: Texts = {}
    for key, each in group.items():
        parts = [f"`{name}`" for name in each.get("tools", ())]
        parts += [f"`{group[child]['suggested_name']}`" for child in each.get("calls", ())]
        prompt = f"You are {each['suggested_name']}, a {each['role']}. Use {', '.join(parts)}."
        made[key] = {
            "name": each["suggested_name"],
            "description": f"Number {key}: {each['suggested_name']}, {each['role']}.",
            "system_prompt": prompt + " Check what comes back, then answer in one sentence.",
        }
    return made


def answer(system: str, user: str) -> str:
    if "choose tools" in system:
        return json.dumps({"tools": ["shop/issue_refund", "shop/get_order"]})
    return json.dumps({"agents": texts(user)})


def model(server: Scripted, **options: Any) -> nexau.OpenAIModel:
    return nexau.OpenAIModel("m", base_url=server.url, api_key_env=None, retries=0, **options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kinds", "repairs", "told"),
    [
        (["good"], 0, None),
        (["fenced"], 0, None),
        (["malformed", "good"], 1, "is not valid JSON"),
        (["truncated", "good"], 1, "cut off before its end"),
        (["refuse", "good"], 1, "holds no JSON object"),
        (["empty", "good"], 1, "holds no JSON object"),
        (["slow", "good"], 1, "the model failed"),
        (["broken", "good"], 1, "the model failed"),
        (["refuse", "malformed", "truncated", "good"], 3, "cut off"),
    ],
)
async def test_a_bad_answer_is_sent_back(kinds: list[str], repairs: int, told: str | None) -> None:
    with scripted_model(lambda *_: '{"a": 1}', lambda _, n: kinds[n], slow=30.0) as server:
        async with nexau.open_runtime() as runtime:
            seconds = 2.0 if "slow" in kinds else 30.0
            agent = author(model(server, timeout=seconds), "Write {{ a }} and {% b %}.")
            done = await write(runtime, agent, "Please.", lambda _: [], name="x")
    assert (done.value, done.repairs, done.problems) == ({"a": 1}, repairs, ())
    assert len(done.trajectories) == len(kinds)
    assert server.requests[0]["messages"][0]["content"] == "Write {{ a }} and {% b %}."
    last = server.requests[-1]["messages"][-1]["content"]
    assert (told in last) if told else (last == "Please.")


@pytest.mark.anyio
async def test_three_repairs_are_all() -> None:
    with scripted_model(lambda *_: "{}") as server:
        async with nexau.open_runtime() as runtime:
            agent = author(model(server), "Write.")
            done = await write(runtime, agent, "Please.", lambda _: ["it is blue"], name="x")
    assert done.value is None
    assert done.problems == ("it is blue",)
    assert server.played["good"] == 4
    assert "- it is blue" in server.requests[-1]["messages"][-1]["content"]


@pytest.mark.anyio
async def test_the_model_chooses_tools(catalog: Catalog) -> None:
    places = list(range(len(catalog.tools)))

    def wrong_first(system: str, user: str) -> str:
        good = "It was refused" in user
        return answer(system, user) if good else '{"tools": ["shop/isue_refund"]}'

    with scripted_model(wrong_first) as server:
        async with nexau.open_runtime() as runtime:
            ranked, done = await match(runtime, model(server), catalog, places, "refunds")
    assert [catalog.tools[place].name for place in ranked[:2]] == ["issue_refund", "get_order"]
    assert sorted(ranked) == places
    assert len(done) == 2
    assert "did you mean 'shop/issue_refund'?" in server.requests[1]["messages"][-1]["content"]


def parts(maker: Maker) -> tuple[Hierarchy, ToolGraph, Texts]:
    each = next(it for it in map(maker.make, range(99)) if 4 < it.root.size() < 9)
    return each, maker.graph, texts(group_request(each, maker.graph, "x"))


def set_(key: str, part: str, value: Any) -> Callable[[Texts], object]:
    return lambda agents: agents[key].__setitem__(part, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda agents: agents.pop("a1"), "a1 is missing"),
        (lambda agents: agents.__setitem__("a99", agents["a1"]), "there is no agent 'a99'"),
        (lambda agents: agents["a1"].pop("name"), "a1: expected name, description"),
        (set_("a1", "name", 3), "a1: expected name, description"),
        (set_("a1", "name", "a b"), "'a b' is no name"),
        (set_("a1", "name", "delete_note"), "a1: "),
        (set_("a1", "description", "short"), "a description has 10 to 400"),
        (set_("a1", "system_prompt", "short"), "a system_prompt has 80 to"),
        (set_("a0", "system_prompt", "x" * 100), "a0: its system_prompt does not name"),
        (lambda agents: agents["a1"].update(name=agents["a0"]["name"]), "of a0 already"),
    ],
)
def test_texts_are_checked(maker: Maker, change: Callable[[Texts], object], message: str) -> None:
    each, graph, agents = parts(maker)
    nodes = dict(numbered(each))
    assert problems({"agents": agents}, nodes, each, graph) == []
    change(agents)
    found = problems({"agents": agents}, nodes, each, graph)
    assert any(message in problem for problem in found), found


def test_siblings_and_tools_of_others_are_checked(maker: Maker) -> None:
    each, graph, agents = parts(maker)
    nodes = dict(numbered(each))
    ids = {id(node): key for key, node in nodes.items()}
    parent = next(node for node in nodes.values() if len(node.children) > 1)
    one, other = (ids[id(child)] for child in parent.children[:2])
    agents[one]["description"] = agents[other]["description"]
    assert any("described alike" in it for it in problems({"agents": agents}, nodes, each, graph))
    assert problems([], nodes, each, graph) == ['expected {"agents": {...}}']


@pytest.fixture
def files(tmp_path: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.chdir(tmp_path)

    def write_files(url: str) -> None:
        kind = f"{{kind: openai, name: m, base_url: {url!r}, api_key_env: null, retries: 0}}"
        (tmp_path / "writer.yaml").write_text(f"name: w\nmodel: {kind}\n")

    return write_files


def command(desk: Path, *more: str) -> Any:
    arguments = ["synth", "agents", "Refunds for customers", "--tools", str(desk), "--n", "6"]
    options = ["--complexity", "0.2", "--writer", "writer.yaml", "--out", "out", *more]
    return CliRunner().invoke(app, [*arguments, *options])


def desk_answer(system: str, user: str) -> str:
    if "choose tools" in system:
        return json.dumps({"tools": ["desk/issue_refund", "desk/get_order", "desk/get_customer"]})
    made = texts(user)
    # What a model may well write, and what must not become a template or a path.
    made["a0"]["system_prompt"] += " Greet {{ user }}. {% include '/etc/passwd' %}"
    return json.dumps({"agents": made})


@pytest.mark.parametrize("smoke", ["none", pytest.param("2", marks=pytest.mark.slow)])
def test_the_command_with_a_model(
    tmp_path: Path, desk: Path, files: Callable[[str], None], smoke: str
) -> None:
    kinds = ("good", "malformed", "truncated", "refuse")

    def script(key: str, attempt: int) -> str:
        return kinds[len(key) % 4] if attempt == 0 else "good"

    with scripted_model(desk_answer, script) as server:
        files(server.url)
        done = command(desk, "--smoke", smoke)
    assert done.exit_code == 0, done.stderr
    records = read_index(tmp_path / "out")
    assert len(records) == 6
    assert {record.writer for record in records} == {"m"}
    assert any(record.repairs for record in records)
    agent = nexau.load_agent(tmp_path / "out" / records[0].file)
    assert agent.system_prompt.text.startswith("You are ")
    assert "{% include" not in agent.system_prompt.text
    kept = (tmp_path / "out" / "writing.jsonl").read_text().splitlines()
    stages = {json.loads(line)["metadata"]["stage"] for line in kept}
    assert {"matching", "agents/0"} <= stages
    # The same again, from what is there: the model is not asked any more.
    with scripted_model(desk_answer, lambda _, __: "broken") as server:
        files(server.url)
        again = command(desk, "--smoke", smoke)
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    assert not server.requests


def test_a_model_that_writes_nothing_usable(
    tmp_path: Path, desk: Path, files: Callable[[str], None]
) -> None:
    with scripted_model(desk_answer, lambda _, __: "refuse") as server:
        files(server.url)
        done = command(desk, "--smoke", "none")
    assert done.exit_code == 2
    assert "the model does not choose tools: the answer holds no JSON object" in done.stderr
    assert server.played["refuse"] == 4

    def texts_refused(key: str, _: int) -> str:
        return "good" if "choose tools" in key else "broken"

    with scripted_model(desk_answer, texts_refused) as server:
        files(server.url)
        done = command(desk, "--smoke", "none")
    assert done.exit_code == 2
    assert "the model that writes cannot be had" in done.stderr


@pytest.mark.parametrize("given", ["plan", "nothing.yaml", "script:x"])
def test_a_writer_is_a_model(desk: Path, files: Callable[[str], None], given: str) -> None:
    arguments = ["synth", "agents", "x", "--tools", str(desk), "--writer", given]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "--writer: expected openai:NAME" in done.stderr
