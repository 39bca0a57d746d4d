"""`nexau mcp`: a server's tools, listed and called."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.terminal import on_terminal

SERVER = str(Path(__file__).parents[1] / "runtime" / "servers" / "counter.py")
COMMAND = ("--", sys.executable, SERVER)


@pytest.fixture
def served(place: Path) -> Path:
    (place / "served.yaml").write_text(
        "name: served\nmodel: plan\ntools: [{mcp: counter, include: [pid]}]\n"
        f"mcp_servers: {{counter: {{command: '{{python}}', args: ['{SERVER}']}}}}\n"
    )
    return place


def test_tools_of_a_command(call: Call) -> None:
    outcome = call("mcp", "tools", *COMMAND)
    assert outcome.code == 0
    tools = {line["name"]: line for line in outcome.lines}
    assert tools["increment"]["parameters"]["properties"]["by"]["default"] == 1
    assert tools["increment"]["description"].startswith("Adds to the count")


def test_all_tools_of_a_server_of_a_file(call: Call, served: Path) -> None:
    outcome = call("mcp", "tools", "served.yaml:counter")
    assert outcome.code == 0
    assert {"increment", "pid"} <= {line["name"] for line in outcome.lines}


def test_a_call(call: Call, served: Path) -> None:
    outcome = call("mcp", "call", "served.yaml:counter", "increment", '{"by": 3}')
    assert outcome.code == 0
    (result,) = outcome.lines
    assert result["content"] == [{"type": "text", "text": "3"}]
    assert not result["is_error"]


def test_a_call_with_arguments_from_stdin(call: Call) -> None:
    outcome = call("mcp", "call", "increment", "-", *COMMAND, stdin='{"by": 4}')
    assert outcome.lines[0]["content"][0]["text"] == "4"


def test_a_tool_that_fails(call: Call) -> None:
    outcome = call("mcp", "call", "refuse", *COMMAND)
    assert outcome.code == 1
    assert outcome.lines[0]["error_class"] == "tool_error"


def test_a_tool_that_never_answers(call: Call) -> None:
    outcome = call("mcp", "call", "--timeout", "5", "hang", *COMMAND)
    assert outcome.code == 1
    assert outcome.lines[0]["error_class"] == "timeout"


def test_a_table_on_a_terminal(place: Path) -> None:
    code, shown = on_terminal("mcp", "tools", *COMMAND)
    assert code == 0
    assert "increment" in shown
    assert "[by]" in shown
    assert "{" not in shown


@pytest.mark.parametrize(
    "server",
    [
        ("http://127.0.0.1:9",),
        ("--", "no-such-command-here"),
        ("--", sys.executable, "-c", "raise SystemExit('out of order')"),
    ],
)
def test_a_server_that_cannot_be_had(call: Call, server: tuple[str, ...]) -> None:
    outcome = call("mcp", "tools", *server)
    assert (outcome.code, outcome.out) == (1, "")
    assert "error: " in outcome.err
    if "out of order" in server[-1]:
        assert "out of order" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tools",), "name one server"),
        (("tools", "--"), "name one server"),
        (("tools", "agent.yaml", "--", "cat"), "name one server"),
        (("tools", "somewhere"), "expected FILE:NAME, a URL, or a command"),
        (("tools", "agnt.yaml:counter"), "did you mean 'agent.yaml'?"),
        (("tools", "served.yaml:countr"), "did you mean 'counter'?"),
        (("call", "served.yaml:counter"), "expected SERVER TOOL [JSON]"),
        (("call", "served.yaml:counter", "pid", "{", "more"), "expected SERVER TOOL [JSON]"),
        (("call", "served.yaml:counter", "pid", "{"), "no JSON object"),
        (("call", "served.yaml:counter", "pid", "[1]"), "no JSON object"),
        (("call", "served.yaml:counter", "incremnt"), "did you mean 'increment'?"),
        (("tols",), "Did you mean 'tools'?"),
    ],
)
def test_wrong_input(call: Call, served: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = call("mcp", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_a_line_of_a_call_is_json(call: Call) -> None:
    outcome = call("mcp", "call", "pid", *COMMAND)
    assert int(json.loads(outcome.out)["content"][0]["text"]) > 0
