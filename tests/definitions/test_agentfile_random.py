"""Whatever stands in a file, reading it gives an agent or problems, never another exception."""

import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from nexau.definitions.agentfile import check_agent, load_agent
from nexau.definitions.schemas import json_schema
from nexau.definitions.structs import AgentFile, McpEntry, PythonEntry
from nexau.definitions.values import (
    Backoff,
    HttpServer,
    OpenAIModel,
    Pool,
    StdioServer,
    Supervision,
)
from nexau.files.forms import fields
from nexau.files.problems import AgentFileError
from nexau.transports.protocol import Limits

KEYS = sorted(
    {each.key
     for struct in (AgentFile, McpEntry, PythonEntry, OpenAIModel, StdioServer, HttpServer, Pool,
                    Limits, Supervision, Backoff)
     for each in fields(struct)}
    | {"kind", "file", "path", "steps ", "<<", "", "a.b"}
)  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["plan", "openai:x", "script:", "${X}", "{{ x }}", "{% if %}", "a", "b",
                       "a.yaml", "tools:f", "*", "[", "~nobody", "..", "\0", "permanent", "http://x/{port}"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=20,
)
agents = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)

SCHEMA = jsonschema_rs.validator_for(json_schema("agent"))


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def read(path: Path) -> list[str]:
    found = [str(each) for each in check_agent(path, environ={})]
    assert len(set(found)) == len(found)
    if check_agent(path, environ=None):
        with pytest.raises(AgentFileError):
            load_agent(path)
    else:
        load_agent(path)
    return found


@pytest.mark.slow
@given(value=values | agents)
@settings(max_examples=200, deadline=None)
def test_values(folder: Path, value: Any) -> None:
    path = folder / "a.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), "utf-8")
    found = read(path)
    plain = yaml.safe_load(path.read_text("utf-8"))
    try:
        fits = SCHEMA.is_valid(plain)
    except ValueError:  # NaN, dates, keys that are no text: outside JSON
        fits = False
    # The schema is never stricter than the reader: an editor marks nothing that runs.
    assert fits or found


@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?\t\n <=~.0é\\\u2028"), max_size=60))
@example("%YAML 9.9\n---\na")
@example('"\\UFFFFFFFF"')
@example("? a\n: b\n? [c]\n: d")
@example("{a: *a, <<: [&a {b: c}, *a]}")
@example("a: !<x> b")
@example("--- |\n a\n...\n")
@settings(max_examples=400, deadline=None)
def test_text(folder: Path, text: str) -> None:
    path = folder / "b.yaml"
    path.write_text(text, "utf-8")
    assert read(path)


@given(data=st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_bytes(folder: Path, data: bytes) -> None:
    path = folder / "c.json"
    path.write_bytes(data)
    assert read(path)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="{}$\0"), max_size=12)
seconds = st.floats(0.001, 1e6)
limits = st.fixed_dictionaries(
    {}, optional={"steps": st.integers(1, 9), "seconds": seconds, "depth": st.integers(0, 3)}
)
servers = st.fixed_dictionaries(
    {"command": names},
    optional={"args": st.lists(texts, max_size=3), "env": st.dictionaries(names, texts, max_size=2),
              "timeout": seconds, "sessions": st.sampled_from(["shared", "rollout"]),
              "pool": st.fixed_dictionaries({}, optional={"min": st.integers(0, 8)})},
)  # fmt: skip


@st.composite
def valid_agents(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "name": draw(names),
        "model": draw(st.sampled_from(["plan", "openai:x"])),
    }
    if draw(st.booleans()):
        agent["description"] = draw(texts)
        agent["system_prompt"] = draw(texts)
        agent["limits"] = draw(limits)
    if draw(st.booleans()):
        agent["mcp_servers"] = draw(st.dictionaries(names, servers, min_size=1, max_size=2))
        agent["tools"] = [{"mcp": name, "prefix": draw(st.just("") | names)}
                          for name in agent["mcp_servers"]]  # fmt: skip
    if depth and draw(st.booleans()):
        children = st.lists(
            valid_agents(depth - 1), max_size=2, unique_by=lambda each: each["name"]
        )
        agent["agents"] = draw(children)
    return agent


def assert_same(agent: Any, wanted: dict[str, Any]) -> None:
    assert agent.name == wanted["name"]
    assert agent.description == wanted.get("description", "")
    assert agent.system_prompt.text == wanted.get("system_prompt", "")
    assert {key: getattr(agent.limits, key) for key in wanted.get("limits", {})} == wanted.get(
        "limits", {}
    )
    assert [(each.server, each.prefix) for each in agent.tools] == [
        (each["mcp"], each["prefix"]) for each in wanted.get("tools", [])
    ]
    assert list(agent.mcp_servers) == list(wanted.get("mcp_servers", {}))
    for name, server in wanted.get("mcp_servers", {}).items():
        made = agent.mcp_servers[name]
        assert list(made.args) == server.get("args", [])
        assert made.env == server.get("env", {})
        assert made.timeout == server.get("timeout", 60.0)
    for child, inner in zip(agent.agents, wanted.get("agents", []), strict=True):
        assert_same(child, inner)


@given(wanted=valid_agents(), as_json=st.booleans())
@settings(max_examples=60, deadline=None)
def test_round_trip(folder: Path, wanted: dict[str, Any], as_json: bool) -> None:
    path = folder / ("d.json" if as_json else "d.yaml")
    dump = json.dumps(wanted) if as_json else yaml.safe_dump(wanted, sort_keys=False)
    path.write_text(dump, "utf-8")
    short = [each for name in wanted.get("mcp_servers", {}) if len(name) > 32 for each in [name]]
    assert not short
    assert check_agent(path, environ={}) == []
    assert SCHEMA.is_valid(wanted)
    assert_same(load_agent(path), wanted)
