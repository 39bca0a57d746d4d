"""A folder with agents and tasks, and two ways to run the command line in it."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

import nexau.cli.program
from nexau.cli.main import app

DOINGS = '''
import anyio

async def wait(seconds: float) -> str:
    """Waits."""
    await anyio.sleep(seconds)
    return f"waited {seconds:g}"

def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)
'''

AGENT = """
name: waiter
model: plan
system_prompt: You are {{ name | default('nobody') }}.
tools: [cli_doings:wait, cli_doings:fail]
"""

SCRIPTED = """
name: boss
model: script:script.yaml
tools: [cli_doings:wait, cli_doings:fail]
agents:
  - name: helper
    description: Helps.
    tools: [cli_doings:wait]
limits: {steps: 10}
"""

SCRIPT = r"""
root:
  - content: Let me look.
    calls:
      - {name: fail, arguments: {why: "no \e[31mred [bold]x[/bold]"}}
      - {name: helper, arguments: {task: do it}}
  - content: all done
root/helper#*:
  - calls: [{name: wait, arguments: {seconds: 0}}]
  - content: helped
"""


def task(seconds: float, **extra: Any) -> dict[str, Any]:
    """A task whose plan waits."""
    calls = [{"id": "a", "name": "wait", "arguments": {"seconds": seconds}}]
    return {"input": "wait", "plan": {"turns": [calls], "answer": "done"}, **extra}


def write_tasks(file: Path, tasks: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in tasks))
    return file


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    (tmp_path / "cli_doings.py").write_text(DOINGS)
    (tmp_path / "agent.yaml").write_text(AGENT)
    (tmp_path / "scripted.yaml").write_text(SCRIPTED)
    (tmp_path / "script.yaml").write_text(SCRIPT)
    write_tasks(tmp_path / "tasks.jsonl", [task(0, id=f"t{i}") for i in range(5)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's process keeps its garbage collector and its logging."""
    monkeypatch.setattr(nexau.cli.program, "tune_gc", lambda: None)
    monkeypatch.setattr(nexau.cli.program.logs, "configure", lambda level: None)
    structlog.reset_defaults()  # whatever tests of other modules left
    yield
    assert not structlog.is_configured()
    assert logging.getLogger().level == logging.WARNING


class Outcome:
    """How a command ended, with what it wrote to the descriptors."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[Any]:
        """stdout, which is whole JSON lines or nothing."""
        assert not self.out or self.out.endswith("\n")
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Outcome]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def call(place: Path, untouched: None, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process: stdout and stderr are those of the runner and of fd 1, 2."""

    def run(*arguments: str, stdin: str = "") -> Outcome:
        capfd.readouterr()
        result = CliRunner().invoke(app, list(arguments), input=stdin, prog_name="nexau")
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        written = capfd.readouterr()
        return Outcome(result.exit_code, result.stdout + written.out, result.stderr + written.err)

    return run


def command(*arguments: str) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-W", "error", "-m", "nexau.cli.main", *arguments]


@pytest.fixture
def process(place: Path) -> Iterator[Start]:
    """Start a command in a process of its own; it is killed at the end if it still lives."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        streams |= {"env": dict(os.environ), **options}
        made: subprocess.Popen[Any] = subprocess.Popen(command(*arguments), **streams)
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        # Whoever it started and left has its pipes still: that is a failure, and no reason to hang.
        each.communicate(timeout=60)
