"""What a valid agent file becomes."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nexau.definitions.agentfile import check_agent, expand_env, load_agent
from nexau.definitions.values import (
    Agent,
    Backoff,
    DefinitionError,
    HttpServer,
    McpTools,
    ModelConfig,
    OpenAIModel,
    PlanModel,
    Pool,
    Price,
    PythonTool,
    ReplayModel,
    ScriptModel,
    StdioServer,
    Supervision,
)
from nexau.files.problems import AgentFileError
from nexau.transports.protocol import Limits

Write = Callable[..., Path]

WHOLE = """
name: lead
description: Leads
model:
  kind: openai
  name: some-model
  base_url: http://127.0.0.1:8000/v1
  api_key_env: null
  temperature: 0
  stop: [END]
  headers: {X-Team: "${TEAM}"}
  price: {input: 1, output: 2.5}
system_prompt: {file: prompts/lead.md}
tools:
  - tools:search
  - {python: "tools:search", name: look, description: Looks., timeout: 5}
  - {mcp: notes, include: ["read_*", add], exclude: [read_all], prefix: n_}
agents:
  - agents/child.yaml
  - {path: agents/child.yaml, name: second, description: Again}
  - name: inline
    model: plan
    tools: [{mcp: web}]
mcp_servers:
  notes:
    command: python
    args: [-m, notes]
    env: {TOKEN: "${TOKEN}"}
    cwd: data
    sessions: rollout
    pool: {min: 1, max: 4, uses: 10}
    reset: clear
    timeout: 5
  web:
    url: http://127.0.0.1:{port}/mcp
    command: serve
    args: [--port, "{port}"]
    headers: {Authorization: "Bearer ${TOKEN}"}
limits: {steps: 10, tokens: 1000, seconds: 1.5, depth: 2, parallel_calls: 4, cost: 0.5}
supervision: {restart: transient, intensity: 1, period: 2, backoff: {min: 1, max: 2, jitter: 0}}
"""

TOOLS = '''
def search(query: str, limit: int = 3) -> list[str]:
    """Searches the notes."""
    return [query] * limit
'''


@pytest.fixture
def folder(write: Write) -> Path:
    write("tools.py", TOOLS)
    write("prompts/lead.md", "Help with {{ task }}.\n")
    write("data/x", "")
    write("agents/child.yaml", "name: child\ntools: [{mcp: notes}]\n")
    return write("lead.yaml", WHOLE)


def test_every_key_arrives(folder: Path) -> None:
    agent = load_agent(folder)
    assert (agent.name, agent.description, agent.source) == ("lead", "Leads", folder)
    assert agent.model == OpenAIModel(
        name="some-model",
        base_url="http://127.0.0.1:8000/v1",
        api_key_env=None,
        temperature=0.0,
        stop=("END",),
        headers={"X-Team": "${TEAM}"},
        price=Price(input=1.0, output=2.5),
    )
    assert agent.system_prompt.text == "Help with {{ task }}.\n"
    assert agent.system_prompt.source == str(folder.parent / "prompts" / "lead.md")
    assert agent.limits == Limits(10, 1000, 1.5, 2, 4, 0.5)
    assert agent.supervision == Supervision("transient", 1, 2.0, Backoff(1.0, 2.0, 0.0))
    assert agent.mcp_servers == {
        "notes": StdioServer(
            command="python",
            args=("-m", "notes"),
            env={"TOKEN": "${TOKEN}"},
            cwd=str(folder.parent / "data"),
            sessions="rollout",
            pool=Pool(1, 4, 10),
            reset="clear",
            timeout=5.0,
        ),
        "web": HttpServer(
            url="http://127.0.0.1:{port}/mcp",
            command="serve",
            args=("--port", "{port}"),
            headers={"Authorization": "Bearer ${TOKEN}"},
        ),
    }


def test_tools_of_both_kinds(folder: Path) -> None:
    first, second, third = load_agent(folder).tools
    assert isinstance(first, PythonTool)
    assert isinstance(second, PythonTool)
    assert (first.spec.name, first.spec.description) == ("search", "Searches the notes.")
    assert (first.timeout, first.binding, first.is_async) == (60.0, "tools:search", False)
    assert (second.spec.name, second.spec.description, second.timeout) == ("look", "Looks.", 5.0)
    assert second.function(query="a", limit=2) == ["a", "a"]
    assert third == McpTools("notes", ("read_*", "add"), ("read_all",), "n_")


def test_children_inline_and_by_path(folder: Path) -> None:
    agent = load_agent(folder)
    child, second, inline = agent.agents
    assert [each.name for each in agent.agents] == ["child", "second", "inline"]
    assert (child.description, second.description) == ("", "Again")
    assert child.model == second.model == agent.model
    assert inline.model == PlanModel()
    assert child.source == folder.parent / "agents" / "child.yaml"
    assert inline.source == folder


def test_check_finds_nothing_in_a_valid_file(folder: Path) -> None:
    assert check_agent(folder, environ={"TEAM": "", "TOKEN": ""}) == []
    assert check_agent(folder, environ=None) == []


def test_unset_variables_are_found_by_check_only(folder: Path) -> None:
    found = [str(each) for each in check_agent(folder, environ={"TOKE": "x"})]
    assert found == [
        "lead.yaml:10:13: model.headers.X-Team: the environment variable TEAM is not set",
        (
            "lead.yaml:27:11: mcp_servers.notes.env.TOKEN: the environment variable TOKEN is not"
            " set; did you mean 'TOKE'?"
        ),
        (
            "lead.yaml:37:15: mcp_servers.web.headers.Authorization: the environment variable"
            " TOKEN is not set; did you mean 'TOKE'?"
        ),
    ]
    load_agent(folder)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("plan", PlanModel()),
        ("openai:org/model:tag", OpenAIModel("org/model:tag")),
        ("{kind: plan, latency: 1}", PlanModel(1.0)),
        ("script:turns.yaml", ScriptModel("turns.yaml")),
        ("{kind: replay, file: turns.yaml, latency: 2}", ReplayModel("turns.yaml", 2.0)),
    ],
)
def test_models(write: Write, text: str, model: ModelConfig) -> None:
    turns = write("turns.yaml", "[]")
    loaded = load_agent(write("a.yaml", f"name: a\nmodel: {text}\n")).model
    if isinstance(loaded, ScriptModel | ReplayModel):
        assert loaded.file == str(turns)
        assert type(loaded)("turns.yaml", loaded.latency) == model
    else:
        assert loaded == model


def test_a_grandchild_inherits_model_and_servers(write: Write) -> None:
    path = write(
        "a.yaml",
        """
        name: a
        model: plan
        mcp_servers: {s: {command: x}}
        agents:
          - name: b
            agents: [{name: c, tools: [{mcp: s}]}]
        """,
    )
    grandchild = load_agent(path).agents[0].agents[0]
    assert grandchild.model == PlanModel()
    assert grandchild.mcp_servers == {}


def test_a_child_may_have_a_server_of_the_same_name(write: Write) -> None:
    path = write(
        "a.yaml",
        """
        name: a
        model: plan
        mcp_servers: {s: {command: outer}}
        tools: [{mcp: s}]
        agents: [{name: b, mcp_servers: {s: {command: inner}}, tools: [{mcp: s}]}]
        """,
    )
    inner = load_agent(path).agents[0].mcp_servers["s"]
    assert inner == StdioServer(command="inner")


def test_the_same_file_twice_is_no_cycle(write: Write) -> None:
    write("leaf.yaml", "name: leaf\n")
    write("mid.yaml", "name: mid\nagents: [leaf.yaml]\n")
    path = write("a.yaml", "name: a\nmodel: plan\nagents: [leaf.yaml, mid.yaml]\n")
    agent = load_agent(path)
    assert agent.agents[0] == agent.agents[1].agents[0]


def test_json_with_tabs_escapes_and_schema(write: Write) -> None:
    body = {"$schema": "urn:x", "name": "a", "model": "plan", "description": "\U0001f600 \\ \t /"}
    path = write("a.json", json.dumps(body, indent="\t").replace("/", "\\/"))
    assert load_agent(path).description == "\U0001f600 \\ \t /"


def test_anchors_and_merge_keys(write: Write) -> None:
    path = write(
        "a.yaml",
        """
        name: a
        model: plan
        limits: &small {steps: 3, tokens: 10}
        agents:
          - {name: b, limits: *small}
          - {name: c, limits: {<<: *small, steps: 4}}
        """,
    )
    b, c = load_agent(path).agents
    assert (b.limits, c.limits) == (Limits(3, 10), Limits(4, 10))


def test_byte_order_mark_and_crlf(write: Write) -> None:
    assert load_agent(write("a.yaml", b"\xef\xbb\xbfname: a\r\nmodel: plan\r\n")).name == "a"


def test_yaml_1_2_scalars(write: Write) -> None:
    text = "name: no\nmodel: plan\ndescription: 'yes'\nlimits: {steps: 0x10, seconds: 1e2}\n"
    agent = load_agent(write("a.yaml", text))
    assert agent.name == "no"
    assert agent.limits == Limits(steps=16, seconds=100.0)


def test_the_error_holds_all_problems(write: Write) -> None:
    path = write("a.yaml", "name: a\nmodle: plan\nlimits: {steps: -1}\n")
    with pytest.raises(AgentFileError) as caught:
        load_agent(path)
    assert isinstance(caught.value, DefinitionError)
    assert len(caught.value.problems) == 3
    assert str(caught.value).splitlines() == [str(each) for each in caught.value.problems]


def test_loading_leaves_the_interpreter_as_it_was(folder: Path) -> None:
    import sys  # noqa: PLC0415 - what is looked at is its state

    before = list(sys.path), os.getcwd(), "tools" in sys.modules  # noqa: PTH109
    load_agent(folder)
    assert before == (list(sys.path), os.getcwd(), "tools" in sys.modules)  # noqa: PTH109


def test_an_agent_is_a_value(folder: Path) -> None:
    once, again = load_agent(folder), load_agent(folder)
    assert isinstance(once, Agent)
    assert once.mcp_servers == again.mcp_servers
    assert once.agents[2] == again.agents[2]


def test_expand_env() -> None:
    environ = {"A": "1", "B": "${A}"}
    assert expand_env("x${A}-${B}$${A}$A $$", environ, "w") == "x1-${A}${A}$A $$"
    assert expand_env("plain", {}, "w") == "plain"
    with pytest.raises(DefinitionError, match=r"web\.url: the environment variable C is not set$"):
        expand_env("${C}", environ, "web.url")
    with pytest.raises(DefinitionError, match="malformed placeholder"):
        expand_env("${A b}", environ, "w")
    with pytest.raises(DefinitionError, match="malformed placeholder"):
        expand_env("${A", environ, "w")


def test_expand_env_tells_no_value() -> None:
    with pytest.raises(DefinitionError) as caught:
        expand_env("${API_KEZ}", {"API_KEY": "sk-secret"}, "w")
    assert "API_KEY" in str(caught.value)
    assert "sk-secret" not in str(caught.value)
