"""`nexau rollout --out` and `--resume`: real processes, killed."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest

from nexau.journal.overview import state_of
from tests.cli.conftest import Call, Start, task, write_tasks

WAIT = 180.0
"""Seconds for anything, on a machine that is busy."""
STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)


def kept(place: Path) -> list[dict[str, Any]]:
    """The trajectories in the directory `run`, of all workers; not one that is being written."""
    files = sorted((place / "run").glob("**/trajectories/*.jsonl"))
    whole = [file.read_text().rpartition("\n")[0] for file in files]
    return [json.loads(line) for text in whole for line in text.splitlines()]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def under_way(place: Path) -> bool:
    """Whether some rollouts have ended, and others have turns on record."""
    run = place / "run"
    return len(kept(place)) >= 4 and state_of(run).turns_on_record > 0


def stand(family: list[psutil.Process]) -> bool:
    """Whether all have stopped, within a second: a signal is on its way for a moment, and one that
    waits for a child to begin (vfork) cannot stop while that child does.
    """
    for _ in range(50):
        if all(each.status() in STILL for each in family):
            return True
        time.sleep(0.02)
    return False


def halted(process: Popen[bytes], place: Path) -> list[psutil.Process]:
    """The run with its workers, all of them stopped at a moment when it is `under_way`."""
    deadline = time.monotonic() + WAIT
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        top = psutil.Process(process.pid)
        family = [top, *top.children(recursive=True)]
        # Whatever goes wrong, nobody stays stopped: nothing could end that.
        with suppress(psutil.NoSuchProcess), ExitStack() as resumed:
            for each in family:
                resumed.callback(each.resume)
                each.suspend()
            if stand(family) and under_way(place):
                resumed.pop_all()
                return family
        time.sleep(0.05)


def killed(process: Popen[bytes], place: Path) -> bytes:
    """What it had put out when it was killed, while `under_way`; its workers are gone too."""
    family = halted(process, place)
    process.kill()
    for each in family[1:]:
        each.resume()
    out, _ = process.communicate(timeout=WAIT)
    assert not psutil.wait_procs(family[1:], timeout=WAIT)[1]
    return out


@pytest.fixture
def slow(place: Path) -> Path:
    """20 tasks of four turns, 0.2 s each."""
    calls = [[{"name": "wait", "arguments": {"seconds": 0.2}}]] * 4
    plan = {"turns": calls, "answer": "done"}
    return write_tasks(
        place / "slow.jsonl", [{**task(0, id=f"s{i}"), "plan": plan} for i in range(20)]
    )


def test_a_run_is_a_directory(call: Call, place: Path) -> None:
    outcome = call("rollout", "agent.yaml", "tasks.jsonl", "--out", "run", "--repeat", "2")
    assert outcome.code == 0
    assert sorted(outcome.lines, key=str) == sorted(kept(place), key=str)
    manifest = json.loads((place / "run" / "run.json").read_text())
    assert manifest["format"] == "nexau-run/2"
    assert manifest["repeat"] == 2
    assert {"agent.yaml", "cli_doings.py"} <= set(manifest["files"])
    assert not call("rollout", "--resume", "run").lines


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(1, 1), (2, 1), (2, 2)], ids=str)
def test_kill_9_and_on(
    process: Start, call: Call, place: Path, slow: Path, workers: tuple[int, int]
) -> None:
    running = process(
        "rollout", "agent.yaml", "slow.jsonl", "-c", "4", "--out", "run", "-w", str(workers[0])
    )
    shown = [json.loads(line) for line in killed(running, place).splitlines()]
    before = {each["id"] for each in kept(place)}
    assert {each["id"] for each in shown} <= before

    outcome = call("rollout", "--resume", "run", "-c", "8", "-w", str(workers[1]))
    assert outcome.code == 0
    ids = [each["id"] for each in kept(place)]
    assert sorted(ids) == sorted(f"s{i}/0" for i in range(20))
    assert {each["id"] for each in outcome.lines} == set(ids) - before
    assert all(len(each["steps"]) == 5 for each in kept(place))
    assert any("resumed after" in note for each in kept(place) for note in each.get("notes", ()))
    assert f"resuming run: {len(before)} rollouts have ended" in outcome.err


def test_ctrl_c_and_on(process: Start, call: Call, place: Path, slow: Path) -> None:
    running = process(
        "rollout", "agent.yaml", "slow.jsonl", "-c", "4", "--grace", "0", "--out", "run"
    )
    family = halted(running, place)
    running.send_signal(signal.SIGINT)
    for each in family:
        each.resume()
    out, _ = running.communicate(timeout=WAIT)
    assert running.returncode == 130
    cancelled = [
        line for line in map(json.loads, out.splitlines()) if line["status"] == "cancelled"
    ]
    assert {line["final"] for line in cancelled} == {False}
    assert call("rollout", "--resume", "run").code == 0
    assert sorted(each["id"] for each in kept(place)) == sorted(f"s{i}/0" for i in range(20))
    assert {each["status"] for each in kept(place)} == {"completed"}


FULL = """
import errno, os, pathlib
from nexau.journal.files import DiskFiles

written = DiskFiles.write

def write(self, handle, data):
    if pathlib.Path("full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return written(self, handle, data)

DiskFiles.write = write
"""


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "workers"), [("0", "1"), ("0.3", "1"), ("0", "2")])
def test_ctrl_c_on_a_full_disk_says_what_is_kept(
    process: Start, call: Call, place: Path, slow: Path, grace: str, workers: str
) -> None:
    doings = place / "cli_doings.py"
    whole = doings.read_text()
    doings.write_text(whole + FULL)
    arguments = ("-c", "4", "--grace", grace, "--out", "run", "-w", workers)
    running = process("rollout", "agent.yaml", "slow.jsonl", *arguments)
    family = halted(running, place)
    (place / "full").touch()
    for each in family:
        each.resume()
    assert running.stderr is not None
    line = b"-"
    while b"the disk is full" not in line:
        line = running.stderr.readline()
        assert line
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=WAIT)
    said, ended = err.decode().partition("error: ")[2], state_of(place / "run").counts.ended
    assert running.returncode == 130, err
    assert said.startswith("run could not be written to the end: the disk is full (No space")
    assert f"kept: {ended} rollouts that have ended" in said
    assert "nexau rollout --resume run" in said
    assert "Errno" not in said
    assert "Traceback" not in said
    shown = [json.loads(line) for line in out.splitlines()]
    assert {each["id"] for each in shown if each["status"] == "completed"} <= {
        each["id"] for each in kept(place)
    }

    (place / "full").unlink()
    doings.write_text(whole)
    assert call("rollout", "--resume", "run", "--accept-changes").code == 0
    assert sorted(each["id"] for each in kept(place)) == sorted(f"s{i}/0" for i in range(20))


LOGGED = "    __import__('logging').getLogger('mine').warning('said by a worker')\n"


@pytest.mark.slow
def test_what_workers_log_is_in_the_directory_too(process: Start, place: Path) -> None:
    doings = place / "cli_doings.py"
    doings.write_text(doings.read_text().replace("    await", LOGGED + "    await"))
    running = process("rollout", "agent.yaml", "tasks.jsonl", "--out", "run", "--workers", "2")
    _, err = running.communicate(timeout=WAIT)
    assert running.returncode == 0, err
    lines = (place / "run/logs/001.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "said by a worker" for line in lines) == 5


@pytest.mark.slow
def test_tasks_from_stdin_are_on_record(
    process: Start, call: Call, place: Path, slow: Path
) -> None:
    running = process("rollout", "agent.yaml", "-", "-c", "4", "--out", "run")
    assert running.stdin is not None
    lines = slow.read_bytes().splitlines(keepends=True)
    running.stdin.write(b"".join(lines[:14]))
    running.stdin.flush()
    killed(running, place)

    admitted = call("rollout", "--resume", "run")
    assert admitted.code == 0
    done = {each["task"] for each in kept(place)}
    assert {f"s{i}" for i in range(4)} <= done <= {f"s{i}" for i in range(14)}

    other = process("rollout", "agent.yaml", "-", "--resume", "run")
    _, err = other.communicate(b'"another"\n' * 20, timeout=WAIT)
    assert other.returncode == 2
    assert b"the tasks are not those of the run" in err

    again = process("rollout", "agent.yaml", "-", "--resume", "run")
    _, err = again.communicate(b"".join(lines), timeout=WAIT)
    assert again.returncode == 0, err
    assert sorted(each["task"] for each in kept(place)) == sorted(f"s{i}" for i in range(20))


def test_a_changed_agent_is_refused_or_accepted(call: Call, place: Path) -> None:
    call("rollout", "agent.yaml", "tasks.jsonl", "--out", "run")
    with (place / "cli_doings.py").open("a") as file:
        file.write("# changed\n")
    refused = call("rollout", "--resume", "run")
    assert refused.code == 2
    assert "cli_doings.py has changed" in refused.err
    assert call("rollout", "--resume", "run", "--accept-changes").code == 0
    manifest = json.loads((place / "run" / "run.json").read_text())
    assert manifest["resumes"][-1]["accepted"] == ["cli_doings.py has changed"]
    assert call("rollout", "--resume", "run").code == 0


def test_two_writers_are_one_too_many(process: Start, call: Call, place: Path, slow: Path) -> None:
    running = process("rollout", "agent.yaml", "slow.jsonl", "--out", "run", "-c", "1")
    until(lambda: (place / "run" / "run.json").exists())
    outcome = call("rollout", "--resume", "run")
    assert outcome.code == 2
    assert f"in use by process {running.pid}" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("agent.yaml", "tasks.jsonl", "--out", "."), "is not empty, and holds no run"),
        (("--resume", "nowhere"), "holds no run"),
        (("--resume", "run", "--out", "other"), "give one of them"),
        (("--resume", "run", "--repeat", "3"), "--repeat 3: the run was begun with 1"),
        (("agent.yaml", "--resume", "run"), "give AGENT and TASKS, or neither"),
        (("agent.yaml", "tasks.jsonl", "--out", "run"), "holds a run already"),
        (("agent.yaml", "tasks.jsonl", "--accept-changes"), "is for --resume"),
    ],
)
def test_wrong_input(call: Call, place: Path, arguments: tuple[str, ...], said: str) -> None:
    call("rollout", "agent.yaml", "tasks.jsonl", "--out", "run")
    outcome = call("rollout", *arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert not outcome.out
