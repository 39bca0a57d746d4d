"""Real signals to a real process: what runs ends or is sealed, lines are whole, nobody is left."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import Start, task, write_tasks

SERVER = Path(__file__).parents[1] / "runtime" / "servers" / "counter.py"
SERVED = f"""
name: served
model: plan
tools: [cli_doings:wait, {{mcp: counter}}]
mcp_servers:
  counter: {{command: "{{python}}", args: ["{SERVER}"]}}
"""

FOREVER = 3600.0


def started(process: subprocess.Popen[bytes], count: int) -> list[dict[str, Any]]:
    """Reads events until `count` turns have asked for calls: from then on something runs."""
    assert process.stdout is not None
    events: list[dict[str, Any]] = []
    while sum(bool(event.get("calls")) for event in events) < count:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read().decode()
        events.append(json.loads(line))
    return events


def finished(process: subprocess.Popen[bytes]) -> tuple[Counter[str], str]:
    """The statuses of rollouts that ended, and stderr. Every line is whole."""
    out, err = process.communicate(timeout=150)
    assert not out or out.endswith(b"\n")
    events = [json.loads(line) for line in out.splitlines()]
    ended = [e for e in events if e["type"] == "finished" and e["agent"] == "root"]
    text = err.decode()
    assert "Traceback" not in text
    return Counter(event["status"] for event in ended), text


def rollout(process: Start, *arguments: str, agent: str = "agent.yaml") -> subprocess.Popen[bytes]:
    return process("rollout", agent, "long.jsonl", "-c", "3", "--emit", "events", *arguments)


@pytest.fixture
def long(place: Path) -> Path:
    return write_tasks(place / "long.jsonl", [task(FOREVER) for _ in range(20)])


def test_one_ctrl_c_lets_what_runs_finish(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(1) for _ in range(100)])
    running = rollout(process, "--grace", "60")
    started(running, 3)
    running.send_signal(signal.SIGINT)
    statuses, said = finished(running)
    assert running.returncode == 130
    # Three ran; a few that had begun by the time of the signal may have ended besides.
    assert set(statuses) == {"completed"}
    assert 3 <= statuses["completed"] < 20
    assert "no new rollouts" in said
    assert "again to stop at once" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_the_grace_the_rest_is_cancelled(process: Start, long: Path, number: int) -> None:
    running = rollout(process, "--grace", "0.1")
    started(running, 3)
    running.send_signal(number)
    statuses, _ = finished(running)
    assert running.returncode == 130
    assert statuses == {"cancelled": 3}


def test_two_stop_at_once(process: Start, long: Path) -> None:
    running = rollout(process, "--grace", "3600")
    started(running, 3)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    assert b"no new rollouts" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    statuses, said = finished(running)
    assert running.returncode == 130
    assert statuses == {"cancelled": 3}
    assert "stopping at once" in said


def test_a_run_is_sealed(process: Start, place: Path) -> None:
    (place / "script.yaml").write_text(
        f"- calls: [{{name: wait, arguments: {{seconds: {FOREVER}}}}}]\n"
    )
    running = process("run", "scripted.yaml", "Do it", "--emit", "events")
    started(running, 1)
    running.send_signal(signal.SIGINT)
    statuses, _ = finished(running)
    assert running.returncode == 130
    assert statuses == {"cancelled": 1}


def test_a_silent_stdin_holds_nothing_up(process: Start, place: Path) -> None:
    running = process("rollout", "agent.yaml", "-", "--emit", "events", "--grace", "60")
    assert running.stdin is not None
    running.stdin.write(json.dumps(task(0)).encode() + b"\n")
    running.stdin.flush()
    started(running, 1)
    running.send_signal(signal.SIGINT)
    assert running.stdout is not None
    assert running.stderr is not None
    statuses = Counter(
        event["status"] for event in map(json.loads, running.stdout) if event["type"] == "finished"
    )
    assert running.wait(150) == 130
    assert statuses == {"completed": 1}


def test_servers_are_gone(process: Start, place: Path, long: Path) -> None:
    (place / "served.yaml").write_text(SERVED)
    running = rollout(process, "--grace", "0", agent="served.yaml")
    started(running, 3)
    family = psutil.Process(running.pid).children(recursive=True)
    assert any(str(SERVER) in " ".join(member.cmdline()) for member in family)
    running.send_signal(signal.SIGINT)
    finished(running)
    _, alive = psutil.wait_procs(family, timeout=150)
    assert not alive


def test_ctrl_c_before_anything_runs(process: Start, place: Path) -> None:
    (place / "served.yaml").write_text(
        "name: served\nmodel: plan\ntools: [{mcp: silent}]\nmcp_servers:\n"
        "  silent: {command: sh, args: [-c, 'touch begun; exec sleep 3600']}\n"
    )
    running = process("rollout", "served.yaml", "tasks.jsonl")
    while not (place / "begun").exists():
        assert running.poll() is None
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    statuses, _ = finished(running)
    assert running.returncode == 130
    assert not statuses
    _, alive = psutil.wait_procs(family, timeout=150)
    assert not alive


def test_a_reader_that_goes_away_ends_the_run(process: Start, long: Path) -> None:
    running = rollout(process)
    started(running, 3)
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    said = running.stderr.read().decode()
    assert running.wait(150) == 0
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_head(place: Path) -> None:
    write_tasks(place / "many.jsonl", [task(0) for _ in range(5_000)])
    words = [sys.executable, "-W", "error", "-m", "nexau.cli.main"]
    shell = " ".join(
        [*words, "rollout", "agent.yaml", "many.jsonl", "| head -1; exit ${PIPESTATUS[0]}"]
    )
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, timeout=150, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["type"] == "trajectory"
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_full_disk_is_told(process: Start, place: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("wb") as output:
        running = process("rollout", "agent.yaml", "tasks.jsonl", stdout=output)
        _, err = running.communicate(timeout=150)
    assert running.returncode == 1
    assert b"No space left" in err
    assert b"Traceback" not in err
