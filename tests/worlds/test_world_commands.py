"""`nexau world show`, `check`, `state` and `reset`."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from nexau.synth.worlds.graph import Edge, tool_graph
from tests.worlds.serving import RETAIL, served
from tests.worlds.worlds_for_tests import LENDING, world_of


def nexau(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nexau.cli.main", "world", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_graph_is_that_of_the_keys() -> None:
    graph = tool_graph(world_of())
    assert Edge("find_books", "lend", "book") in graph.edges
    assert Edge("lend", "find_books", "book") not in graph.edges
    nodes = {node.name: node for node in graph.tools}
    assert nodes["lend"].changes == ("book", "loan", "member")
    assert nodes["lend"].asks == ("book", "member")
    assert nodes["find_books"].gives == ("book",)


def test_show(tmp_path: Path) -> None:
    shown = msgspec.json.decode(nexau("show", str(RETAIL)).stdout)
    assert shown["entities"]["order"]["placed_on"] == "date"
    assert {"source": "open_return", "target": "issue_refund", "entity": "return"} in shown["edges"]
    text = nexau("show", str(RETAIL), "--text").stdout
    assert "order: id*, customer_id -> customer, status" in text
    assert "refuses not_their_order, not_cancellable" in text
    assert "open_return -[return]-> issue_refund" in text
    assert nexau("show", str(tmp_path / "none.yaml")).returncode == 2


def test_check(tmp_path: Path) -> None:
    assert nexau("check", str(RETAIL)).returncode == 0
    bad = tmp_path / "lending.yaml"
    bad.write_text(LENDING.replace("max: 9, make", "max: 1, make"), "utf-8")
    tasks = tmp_path / "lending.tasks.jsonl"
    lines = [
        {"input": "idle", "check": {"expect": ["count(book) > 1"]}},
        {"input": "fails", "plan": {"answer": "x"}, "check": {"expect": ["count(book) > 100"]}},
    ]
    tasks.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    done = nexau("check", str(bad), str(RETAIL))
    assert done.returncode == 2
    assert "seeded rows break a constraint" in done.stderr
    assert "task 1: the check passes when nothing is done" in done.stderr
    assert "task 2: the plan fails its check: expect: count(book) > 100" in done.stderr
    assert "1 of 2 worlds are fine" in done.stderr


@pytest.mark.slow
def test_state_and_reset_of_a_shared_world() -> None:
    with served(RETAIL, "--no-latency", "--expose-state", "--sessions", "shared") as url:
        before = nexau("state", url, "--what", "hash")
        assert before.returncode == 0, before.stderr
        arguments = '{"customer_id": "C-1001", "subject": "hello"}'
        call = [
            sys.executable,
            "-m",
            "nexau.cli.main",
            "mcp",
            "call",
            url,
            "open_ticket",
            arguments,
        ]
        subprocess.run(call, check=True, capture_output=True)
        changes = msgspec.json.decode(nexau("state", url, "--what", "changes").stdout)
        (ticket,) = changes["ticket"]["added"].values()
        assert ticket["subject"] == "hello"
        assert nexau("reset", url).stdout == '{"reset":true}\n'
        assert nexau("state", url, "--what", "hash").stdout == before.stdout
    gone = nexau("state", url)
    assert gone.returncode == 1
    assert "Traceback" not in gone.stderr
