"""`--sink` with `--workers`: the run's own process has the sinks, as in a run of one process."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

import nexau
from nexau.output.sinks import Emits, Outlet
from nexau.testing import ListSink
from nexau.trajectory import Step, Trajectory
from tests.cli.conftest import Start, task, write_tasks
from tests.cli.test_interrupts import started

WAIT = 180.0


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class Taking(ThreadingHTTPServer):
    """Takes lines; the first two posts fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.lines: list[bytes] = []
        self.keys: list[str] = []
        self.failures = 2


class _Post(BaseHTTPRequestHandler):
    server: Taking

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        """Says nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["idempotency-key"])
        self.server.failures -= 1
        if self.server.failures >= 0:
            self.send_response(503)
        else:
            self.server.lines += body.splitlines()
            self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def taking() -> Iterator[Taking]:
    server = Taking()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_every_sink_has_each_trajectory_once(process: Start, place: Path, taking: Taking) -> None:
    url = f"http://127.0.0.1:{taking.server_port}/lines"
    running = process(
        "rollout", "agent.yaml", "tasks.jsonl", "--repeat", "8", "-w", "2", "--out", "run",
        "--sink", "all.jsonl", "--sink", f"{url},policy=spill",
        "--sink", "events.jsonl,emit=events", "--sink", "steps.jsonl,emit=steps,policy=drop",
    )  # fmt: skip
    out, err = running.communicate(timeout=WAIT)
    assert running.returncode == 0, err
    shown = Counter(out.splitlines())
    assert len(shown) == shown.total() == 40
    assert Counter((place / "all.jsonl").read_bytes().splitlines()) == shown
    assert Counter(taking.lines) == shown
    # What failed was sent again under its key.
    assert len(set(taking.keys)) < len(taking.keys)
    kept = [
        line
        for path in (place / "run").glob("worker-*/trajectories/*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert Counter(kept) == shown
    trajectories = [json.loads(line) for line in shown]
    finished = [each["rollout"] for each in lines_of(place / "events.jsonl")
                if each["type"] == "finished" and each["agent"] == "root"]  # fmt: skip
    assert sorted(finished) == sorted(each["id"] for each in trajectories)
    steps = lines_of(place / "steps.jsonl")
    assert {each["type"] for each in steps} == {"step"}
    assert {(each["rollout"], each.get("index", 0)) for each in steps} <= {
        (each["id"], step.get("index", 0)) for each in trajectories for step in each["steps"]
    }


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_its_sinks(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(0.2, id=str(i)) for i in range(24)])
    options = ["-w", "2", "-c", "4", "--sink", "all.jsonl", "--sink", "events.jsonl,emit=events"]
    running = process("rollout", "agent.yaml", "long.jsonl", "--out", "run", *options)
    deadline = time.monotonic() + WAIT
    path = place / "all.jsonl"
    while not path.exists() or not path.read_bytes().count(b"\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.kill()
    running.wait(WAIT)
    # As a write that was cut short leaves it.
    with path.open("ab") as file:
        file.write(b'{"type":"traj')
    again = process("rollout", "--resume", "run", *options)
    _, err = again.communicate(timeout=WAIT)
    assert again.returncode == 0, err
    whole = [line for line in path.read_bytes().splitlines() if line != b'{"type":"traj']
    ids = Counter(json.loads(line)["id"] for line in whole)
    # Each at most once: what was kept and not yet written when it was killed, only the run knows.
    assert set(ids.values()) == {1}
    assert set(ids) <= {f"{i}/0" for i in range(24)}
    listed = process("runs", "verify", "run")
    out, _ = listed.communicate(timeout=WAIT)
    assert listed.returncode == 0, out
    assert json.loads(out)["lines"] == 24


@pytest.mark.slow
def test_a_slow_reader_of_stdout_that_spills_does_not_hold_the_run_up(
    process: Start, place: Path
) -> None:
    # More than pipes, mailboxes and writers hold.
    pad = {"pad": "x" * 8000}
    write_tasks(place / "long.jsonl", [task(0.0, id=str(i), metadata=pad) for i in range(1500)])
    options = ["-w", "2", "--policy", "spill", "--sink", "all.jsonl"]
    running = process("rollout", "agent.yaml", "long.jsonl", *options)
    deadline = time.monotonic() + WAIT
    path = place / "all.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < 1500:  # nobody reads stdout
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    out, err = running.communicate(timeout=WAIT)
    assert running.returncode == 0, err
    assert Counter(out.splitlines()) == Counter(path.read_bytes().splitlines())


def test_ctrl_c_seals_what_runs_in_every_sink(process: Start, place: Path) -> None:
    write_tasks(place / "long.jsonl", [task(3600.0, id=str(i)) for i in range(8)])
    running = process(
        "rollout", "agent.yaml", "long.jsonl", "-c", "4", "-w", "2", "--emit", "events",
        "--grace", "0.1", "--sink", "all.jsonl,emit=trajectories",
    )  # fmt: skip
    started(running, 4)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=WAIT)
    assert running.returncode == 130
    assert [each["status"] for each in lines_of(place / "all.jsonl")] == ["cancelled"] * 4


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sinks_made_in_code_are_given_objects(place: Path) -> None:
    whole = ListSink()
    steps = ListSink()
    wanted: Emits = "steps"
    steps.emits = wanted
    async with nexau.open_workers(
        place / "agent.yaml", place / "tasks.jsonl", workers=2, repeat=2,
        sinks=[whole, Outlet(steps)],
    ) as run:  # fmt: skip
        with anyio.fail_after(WAIT):
            summary = await run.wait()
        assert [each["policy"] for each in run.statistics()["sinks"]] == ["block", "block"]
    trajectories = [each for each in whole.items if isinstance(each, Trajectory)]
    assert len(trajectories) == len(whole.items) == summary.rollouts == 10
    assert len(steps.items) == sum(len(each.steps) for each in trajectories)
    assert all(isinstance(each, Step) for each in steps.items)
