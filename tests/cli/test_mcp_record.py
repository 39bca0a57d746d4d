"""`nexau mcp record` and `compare`, on a real process."""

import json
import sys
from pathlib import Path

import pytest

from nexau.latency.profiles import read_profile
from tests.cli.conftest import Call

LEAN = str(Path(__file__).parents[1] / "runtime" / "servers" / "lean.py")
COMMAND = ("--", sys.executable, "-S", "-E", LEAN)
CALLS = '{"tool": "increment", "arguments": {"by": 2}}\n{"tool": "refuse"}\n{"tool": "nothing"}\n'


@pytest.fixture
def served(place: Path) -> Path:
    (place / "calls.ndjson").write_text(CALLS)
    (place / "served.yaml").write_text(
        "name: served\nmodel: plan\ntools: [{mcp: one}, {mcp: two, prefix: two_}]\nmcp_servers:\n"
        f"  one: {{command: '{{python}}', args: ['-S', '-E', '{LEAN}']}}\n"
        f"  two: {{command: '{{python}}', args: ['-S', '-E', '{LEAN}']}}\n"
    )
    return place


def test_a_server_is_measured(call: Call, served: Path) -> None:
    outcome = call(
        "mcp", "record", "--calls", "calls.ndjson", "--n", "30", "--in-flight", "1,3", "--out",
        "lean.yaml", "--note", "a test", *COMMAND,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (line,) = outcome.lines
    assert line["profile"] == "lean.yaml"
    assert line["tools"]["increment"]["errors"] == [0, 0]
    assert line["tools"]["refuse"]["errors"] == [1, 1]
    profile = read_profile(served / "lean.yaml")
    assert (profile.taken.name, profile.taken.version) == ("lean", "1")
    assert (profile.taken.note, profile.taken.calls) == ("a test", "calls.ndjson")
    increment, refuse = profile.tools
    assert [(level.in_flight, level.calls) for level in increment.levels] == [(1, 30), (3, 30)]
    assert all(len(level.ms) == 201 and level.per_second > 0 for level in increment.levels)
    assert increment.bytes
    assert [it.error_class for it in refuse.levels[0].failures] == ["tool_error"]
    assert refuse.levels[0].failures[0].text == "refused by the server"
    assert "increment: 30 calls, 3 in flight" in outcome.err


def test_all_servers_of_an_agent(call: Call, served: Path) -> None:
    outcome = call(
        "mcp", "record", "served.yaml", "--calls", "calls.ndjson", "--n", "5", "--in-flight", "1",
        "--out", "profiles",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert [line["server"] for line in outcome.lines] == ["one", "two"]
    taken = read_profile(served / "profiles" / "two.profile.yaml").taken
    assert taken.server == "served.yaml:two"


def test_trajectories_tell_what_to_call_and_are_compared(call: Call, served: Path) -> None:
    plan = {"turns": [[{"id": "a", "name": "increment", "arguments": {"by": 1}}]], "answer": ""}
    (served / "plan.jsonl").write_text(json.dumps({"input": "go", "plan": plan}))
    rolled = call("rollout", "served.yaml", "plan.jsonl", "--repeat", "20", "--no-progress")
    assert rolled.code == 0, rolled.err
    (served / "run.jsonl").write_text(rolled.out)
    made = call("mcp", "record", "served.yaml:one", "--calls", "run.jsonl", "--n", "20",
                "--in-flight", "1", "--out", "p.yaml")  # fmt: skip
    assert made.code == 0, made.err
    outcome = call("mcp", "compare", "p.yaml", "run.jsonl")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.lines
    assert (row["tool"], row["replayed"]) == ("increment", 20)
    assert 0 <= row["d"] <= 1
    piped = call("mcp", "compare", "p.yaml", "-", stdin=rolled.out)
    assert piped.lines == outcome.lines
    same = call("mcp", "compare", "p.yaml", "p.yaml", "--within", "0")
    assert (same.code, same.lines[0]["d"]) == (0, 0)
    far = rolled.out.replace('"seconds":0.', '"seconds":9.')
    assert call("mcp", "compare", "p.yaml", "-", "--within", "0.5", stdin=far).code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("record",), "name one server"),
        (("record", "one", *COMMAND), "name one server"),
        (("record", "agent.yaml"), "has no mcp_servers"),
        (("record", "served.yaml:on"), "did you mean 'one'?"),
        (("record", "served.yaml:one", "--in-flight", "x"), "expected numbers"),
        (("record", "served.yaml:one", "--in-flight", "0,1"), "at least 1"),
        (("record", "served.yaml:one", "--calls", "none"), "none cannot be read"),
        (("record", "served.yaml:one", "--calls", "agent.yaml"), 'expected {"tool"'),
        (("record", "served.yaml:one"), "name a file of calls"),
        (("record", "served.yaml:one", "--calls", "tasks.none"), "cannot be read"),
        (("compare", "agent.yaml", "agent.yaml"), "no latency profile"),
        (("compare", "agnt.yaml", "agent.yaml"), "did you mean 'agent.yaml'?"),
    ],
)
def test_wrong_input(call: Call, served: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = call("mcp", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err
