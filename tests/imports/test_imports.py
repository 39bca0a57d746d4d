"""Agents of the original runtime and frameworks: converted, and nothing lost in silence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.definitions.agentfile import check_agent
from nexau.definitions.values import DefinitionError
from nexau.imports.framework import import_framework
from nexau.imports.original import import_original
from nexau.imports.report import Import

RESEARCH = """
type: agent
name: deep research
description: Researches.
max_context_tokens: 100000
max_iterations: 50
max_running_subagents: 3
system_prompt: "Date: {{ date }}. You research {{ task }}."
system_prompt_type: string
tool_call_mode: xml
llm_config:
  model: ${env.IMPORT_MODEL}
  base_url: ${env.IMPORT_URL}
  api_key: ${env.IMPORT_KEY}
  temperature: 0.7
  max_tokens: 4096
  frequency_penalty: 0.5
  api_type: anthropic_chat_completion
mcp_servers:
  - {name: git hub, type: stdio, command: npx, args: ['-y', server],
     env: {TOKEN: "${env.GH}"}, timeout: 30}
  - {name: maps, type: http, url: "https://example.com/mcp", headers: {Accept: x, X-Key: y},
     auth: {type: bearer, token: {key: MAPS_TOKEN}}, disable_parallel: true}
  - {name: old, type: sse, url: "https://example.com/sse"}
tools:
  - {name: web_search, yaml_path: ./tools/WebSearch.yaml,
     binding: "nexau.archs.tool.builtin.web_tool:web_search"}
  - {name: count_words, yaml_path: ./tools/count.yaml, binding: "counting:count",
     extra_kwargs: {a: 1}}
  - {name: gone, yaml_path: ./tools/none.yaml, binding: "counting:gone"}
skills: [./skills/x]
stop_tools: [finish]
middlewares:
  - import: a.b:C
sub_agents:
  - {name: helper, config_path: sub/helper.yaml}
  - {name: lost, config_path: sub/nobody.yaml}
after_model_hooks: []
extra_key: 1
"""
HELPER = """
name: assistant
description: Helps.
system_prompt: ./prompt.md
system_prompt_type: jinja
max_iterations: 9
llm_config: {model: small, api_key: sk-secret-value, max_retries: 2}
"""
COUNT = """
type: tool
name: count
description: Counts the words of a text.
input_schema:
  type: object
  properties: {text: {type: string}, language: {type: string}}
  required: [text]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "research.yaml").write_text(RESEARCH)
    (tmp_path / "sub" / "helper.yaml").write_text(HELPER)
    (tmp_path / "sub" / "prompt.md").write_text("You help {{ username }}.")
    (tmp_path / "tools" / "count.yaml").write_text(COUNT)
    (tmp_path / "counting.py").write_text(
        'def count(text: str, least: int = 1) -> int:\n    """Counts."""\n'
        "    return len(text.split())\n"
    )
    monkeypatch.setenv("IMPORT_MODEL", "big")
    monkeypatch.delenv("IMPORT_URL", raising=False)
    return tmp_path


def write(report: Import, out: Path) -> Path:
    out.mkdir()
    for each in report.files:
        (out / each.name).write_text(each.text)
    return out / report.root


def test_an_agent_with_its_sub_agents(place: Path) -> None:
    out = place / "out"
    report = import_original(place / "research.yaml", out)
    path = write(report, out)
    assert check_agent(path, environ=None) == []
    agent = nexau.load_agent(path)
    assert agent.name == "deep_research"
    assert isinstance(agent.model, nexau.OpenAIModel)
    assert (agent.model.name, agent.model.api_key_env) == ("big", "IMPORT_KEY")
    assert agent.model.extra_body == {"frequency_penalty": 0.5}
    assert set(agent.mcp_servers) == {"git_hub", "maps"}
    git, maps = agent.mcp_servers["git_hub"], agent.mcp_servers["maps"]
    assert isinstance(git, nexau.StdioServer)
    assert (git.env, git.timeout, Path(str(git.cwd)).resolve()) == ({"TOKEN": "${GH}"}, 30, place)
    assert isinstance(maps, nexau.HttpServer)
    assert maps.headers == {"X-Key": "y", "Authorization": "Bearer ${MAPS_TOKEN}"}
    (tool,) = [each for each in agent.tools if isinstance(each, nexau.PythonTool)]
    assert (tool.spec.name, tool.spec.description) == ("count_words", "Counts the words of a text.")
    assert tool.function(text="a b c") == 3
    (helper,) = agent.agents
    assert (helper.name, helper.limits.steps) == ("helper", 9)
    assert helper.system_prompt.text == "You help {{ username }}."
    assert agent.limits == nexau.Limits(parallel_calls=3)


LOST = {
    "max_context_tokens": "histories are not compacted",
    "max_iterations": "50 turns of its own",
    "tool_call_mode": "calls in the text are not parsed",
    "llm_config.api_type": "anthropic_chat_completion",
    "mcp_servers[2]": "the SSE transport",
    "mcp_servers[1].disable_parallel": "parallel_calls",
    "tools[0]": "a part of the original",
    "tools[1].extra_kwargs": "the function gets what the model gives",
    "tools[1]": "language, which the function does not take",
    "tools[2]": "has no 'gone'",
    "skills": "folders of skills",
    "stop_tools": "a rollout ends",
    "middlewares": "there are no middlewares",
    "sub_agents[1].config_path": "no file",
    "extra_key": "no key that is known here",
    "llm_config.api_key": "a key in a file",
}


def test_what_is_lost_is_listed_and_written_down(place: Path) -> None:
    report = import_original(place / "research.yaml", place / "out")
    lost = [(note.path, note.message) for note in report.notes if note.kind == "lost"]
    for path, message in LOST.items():
        assert any(at == path and message in said for at, said in lost), path
    needed = "\n".join(str(note) for note in report.notes if note.kind == "needed")
    assert "date under `variables`" in needed
    assert "IMPORT_URL was not set" in needed
    text = "\n".join(each.text for each in report.files)
    assert "# lost: skills" in text
    assert "sk-secret" not in text
    assert "sk-secret" not in "\n".join(map(str, report.notes))
    # Every key of the file is either in the new one or in a note.
    assert not any(note.path == "after_model_hooks" for note in report.notes)


def test_agents_that_contain_themselves_are_refused(place: Path) -> None:
    (place / "sub" / "helper.yaml").write_text(
        HELPER + "sub_agents: [{name: a, config_path: ../research.yaml}]"
    )
    with pytest.raises(DefinitionError, match=r"research.yaml -> helper.yaml -> research.yaml"):
        import_original(place / "research.yaml", place / "out")


FRAMEWORK = """
framework_name: pricing
framework_entrance_agent: Chief
agents:
  - {agent_name: Chief, description: Leads., sysprompt_path: prompts/chief.md,
     llm_config: main, tools: []}
  - {agent_name: Price Finder, description_en: Finds prices., capabilities: [search, compare],
     sysprompt_path: nowhere.md, llm_config: main, tools: [count, browse], mcp_servers: [shop]}
  - {agent_name: Checker, sysprompt_path: prompts/chief.md, llm_config: other, tools: [nothing]}
  - {agent_name: Loner, sysprompt_path: prompts/chief.md, llm_config: main}
llm_configs:
  - {llm_name: main, provider: openai, model: nex, api_key: "${LLM_API_KEY}",
     base_url: "http://127.0.0.1:1/v1",
     max_tokens: 64000, temperature: 0.6, timeout: 300}
  - {llm_name: other, provider: anthropic, model: c, max_tokens: 4, temperature: 0.1, timeout: 1}
tools:
  - {tool_name: count, description: Counts., config_path: tools/count.yaml,
     binding: "counting:count"}
  - {tool_name: browse, description: Browses., config_path: null,
     binding: "nexau.archs.tool.builtin.web_tool:web_read"}
mcp_servers:
  - {name: shop, type: http, url: "http://127.0.0.1:2/mcp", timeout: 5, description: The shop.}
  - {name: idle, type: http, url: "http://127.0.0.1:3/mcp"}
workflow:
  name: w
  nodes: [{id: Chief, type: agent}, {id: Price Finder, type: agent}]
  edges:
    - {from: Chief, to: Price Finder}
    - {from: Price Finder, to: Checker}
    - {from: Checker, to: Chief}
    - {from: Checker, to: shop}
    - {from: start, to: Chief}
"""


def test_a_framework(place: Path) -> None:
    (place / "prompts").mkdir()
    (place / "prompts" / "chief.md").write_text("You lead.")
    (place / "framework.yaml").write_text(FRAMEWORK)
    out = place / "out"
    report = import_framework(place / "framework.yaml", out)
    path = write(report, out)
    assert check_agent(path, environ=None) == []
    agent = nexau.load_agent(path)
    assert (agent.name, agent.system_prompt.text) == ("Chief", "You lead.")
    assert [child.name for child in agent.agents] == ["Price_Finder", "Loner"]
    finder = agent.agents[0]
    assert finder.description == "Finds prices. Can do: search; compare."
    assert [child.name for child in finder.agents] == ["Checker"]
    assert isinstance(finder.model, nexau.OpenAIModel)
    assert (finder.model.name, finder.model.timeout) == ("nex", 300)
    assert set(agent.mcp_servers) == {"shop"}
    assert len(finder.tools) == 2
    said = "\n".join(map(str, report.notes))
    for wanted in (
        "nothing is called 'nothing'", "Checker -> Chief: an agent has one place",
        "Loner is called by nobody", "no agent uses idle", "no agent 'start'",
        "anthropic: the endpoint has to speak", "no file", "a part of the original",
    ):  # fmt: skip
        assert wanted in said


def test_the_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, ["import", "research.yaml", "--out", "new"])
    assert done.exit_code == 0, done.output
    assert '"lost":' in done.stdout
    assert "research.yaml: skills: lost" in done.stderr
    again = CliRunner().invoke(app, ["import", "research.yaml", "--out", "new"])
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    (place / "x.yaml").write_text("a: 1")
    other = CliRunner().invoke(app, ["import", "x.yaml"])
    assert other.exit_code == 2
    assert "neither an agent" in other.stderr
    nothing = CliRunner().invoke(app, ["import", "reserch.yaml"])
    assert nothing.exit_code == 2
    assert "did you mean 'research.yaml'?" in nothing.stderr
