"""`nexau mcp pin`, and agents whose servers are pinned."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import nexau
import nexau.cli.program
from nexau.cli.main import app
from nexau.definitions.agentfile import check_agent
from nexau.pins import read_pins

SERVER = Path(__file__).parent / "servers" / "hostile.py"
AGENT = """
name: a
model: plan
tools: [{mcp: shop, include: [echo]}]
mcp_servers:
  shop:
    command: "{python}"
    args: [-S, -E, SERVER]
    PINS
"""

Pin = Callable[..., Result]


@pytest.fixture
def pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nexau.cli.program, "tune_gc", lambda: None)
    monkeypatch.setattr(nexau.cli.program.logs, "configure", lambda level: None)
    write("")
    return lambda *options: CliRunner().invoke(app, ["mcp", "pin", "agent.yaml", *options])


def write(pins: str) -> None:
    text = AGENT.replace("SERVER", str(SERVER)).replace("PINS", pins)
    Path("agent.yaml").write_text(text)


def test_pinned_then_changed(pin: Pin) -> None:
    first = pin("--dry-run")
    assert first.exit_code == 1
    changes = [json.loads(line) for line in first.stdout.splitlines()]
    assert {"server": "shop", "tool": "echo", "change": "new"} in changes
    assert not Path("pins.json").exists()
    assert pin().exit_code == 0
    assert pin("--dry-run").stdout == ""
    assert pin("--dry-run").exit_code == 0
    write("pins: pins.json")
    assert check_agent("agent.yaml") == []
    text = Path("pins.json").read_text()
    Path("pins.json").write_text(
        text.replace(read_pins(Path("pins.json"))["shop"]["echo"][7:], "0" * 64)
    )
    again = pin("--dry-run")
    assert json.loads(again.stdout) == {"server": "shop", "tool": "echo", "change": "changed"}
    runner = CliRunner().invoke(app, ["run", "agent.yaml", "x", "--json"])
    assert runner.exit_code == 1
    assert "'echo' is not as it was approved" in runner.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file pins.json"),
        ("{", "no file of pins"),
        ("\xff", "no file of pins"),
        ('{"schema": "nexau-pins/2", "servers": {}}', "expected nexau-pins/1"),
        ('{"schema": "nexau-pins/1", "servers": {}}', "no pins of the server 'shop'"),
        ('{"schema": "nexau-pins/1", "servers": {"shop": {"echo": "md5:1"}}}', "servers.shop.echo"),
        ('{"schema": "nexau-pins/1", "servers": [], "x": 1}', "no file of pins"),
        ("[" * 100_000, "no file of pins"),
    ],
)
def test_files_that_are_none(pin: Pin, text: str | None, message: str) -> None:
    write("pins: pins.json")
    if text is not None:
        Path("pins.json").write_bytes(text.encode("latin-1"))
    (problem,) = check_agent("agent.yaml")
    assert problem.path == "mcp_servers.shop.pins"
    assert message in problem.message


def test_one_name_for_two_servers(pin: Pin) -> None:
    extra = """
agents:
  - name: b
    tools: [{mcp: shop}]
    mcp_servers: {shop: {command: other}}
"""
    with Path("agent.yaml").open("a") as file:
        file.write(extra)
    result = pin()
    assert result.exit_code == 2
    assert "two agents have servers 'shop'" in result.stderr


def test_no_servers(pin: Pin) -> None:
    Path("agent.yaml").write_text("{name: a, model: plan}")
    assert "has no servers" in pin().stderr
