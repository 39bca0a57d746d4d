"""Servers that nobody here wrote, installed by name and driven by plans.

Skipped where they cannot be installed, with the reason; with CI set, that is a failure.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import nexau
from nexau import Task, Trajectory

pytestmark = [pytest.mark.anyio, pytest.mark.outside]

SERVERS = Path(__file__).parents[2] / "examples" / "servers"
PYPI = ("time", "git", "sqlite")
NPM = ("everything", "filesystem", "memory", "sequential-thinking")


@cache
def why_not(name: str) -> str | None:
    """Installs a server. The reason, if that cannot be done here."""
    if name in NPM and shutil.which("npm") is None:
        return "there is no npm on the PATH"
    if name == "git" and shutil.which("git") is None:
        return "there is no git on the PATH"
    done = subprocess.run(
        (sys.executable, SERVERS / "install.py", name),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=False,
    )
    return None if done.returncode == 0 else f"{name} could not be installed: {done.stderr[-500:]}"


def need(*names: str) -> None:
    for reason in filter(None, map(why_not, names)):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def tasks(name: str, **replace: str) -> list[Task]:
    text = (SERVERS / f"{name}.jsonl").read_text()
    for old, new in replace.items():
        text = text.replace(old, new)
    return [Task(**json.loads(line)) for line in text.splitlines()]


async def play(file: str, todo: list[Task]) -> dict[str, Trajectory]:
    agent = nexau.load_agent(SERVERS / file)
    async with (
        nexau.open_runtime() as runtime,
        runtime.rollouts(agent, todo, concurrency=4) as run,
    ):
        done = {trajectory.task: trajectory async for trajectory in run}
    assert set(done) == {task.id for task in todo}
    for trajectory in done.values():
        assert trajectory.status == "completed", trajectory.error
    return done


def errors(trajectory: Trajectory) -> list[str | None]:
    results = (result for step in trajectory.steps for result in step.results)
    return [result.error_class for result in results if result.is_error]


def seen(trajectory: Trajectory) -> str:
    results = (result for step in trajectory.steps for result in step.results)
    return "\n".join(str(part) for result in results for part in result.content)


@pytest.mark.parametrize("name", PYPI)
async def test_from_pypi(name: str) -> None:
    need(name)
    done = await play(f"{name}.yaml", tasks(name))
    # What a plan asks for on purpose, and must not get.
    expected = {"time-3": ["tool_error"]}
    assert {task: errors(made) for task, made in done.items()} == {
        task: expected.get(task, []) for task in done
    }
    facts = {"time": "17:45", "git": "Note 2", "sqlite": "Ada paid"}
    assert any(facts[name] in seen(made) for made in done.values())


@pytest.mark.node
@pytest.mark.parametrize("name", [*NPM, "everything.http"])
async def test_from_npm(name: str) -> None:
    package = name.removesuffix(".http")
    need(package)
    done = await play(f"{name}.yaml", tasks(package))
    refused = {"everything-3", "filesystem-2"}
    assert {task for task, made in done.items() if errors(made)} == refused & set(done)
    facts = {
        "everything": "The sum of 2 and 3 is 5",
        "filesystem": "Order 17 arrived",
        "memory": "speaks French",
        "sequential-thinking": "thoughtHistoryLength",
    }
    assert any(facts[package] in seen(made) for made in done.values())


@pytest.mark.node
async def test_a_session_of_its_own_has_thoughts_of_its_own() -> None:
    need("sequential-thinking")
    done = await play("sequential-thinking.yaml", tasks("sequential-thinking"))
    for made in done.values():
        last = made.steps[-2].results[0].structured
        assert last["thoughtHistoryLength"] == 3


@pytest.mark.node
async def test_several_at_once_with_names_that_clash() -> None:
    need("time", "filesystem", "memory")
    (made,) = (await play("several.yaml", tasks("several"))).values()
    assert errors(made) == []
    called = {call.name for step in made.steps for call in step.calls}
    assert {"clock_get_current_time", "inbox_read_text_file", "archive_read_text_file"} <= called
    assert "Orders 1 to 16, all paid" in seen(made)
    assert "Ada says: paid" in seen(made)
    offered = {tool["name"] for tool in json.loads(bytes(made.agents[0].tools))}
    assert "read_text_file" not in offered
    assert "create_entities" in offered


@contextmanager
def site() -> Iterator[str]:
    """The page, served on the loopback interface."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    def make(*args: object) -> SimpleHTTPRequestHandler:
        return Quiet(*args, directory=str(SERVERS / "files"))  # type: ignore[arg-type]

    handler: Callable[..., SimpleHTTPRequestHandler] = make
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield str(server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
async def test_fetch_reads_a_page_of_the_loopback_interface() -> None:
    need("fetch")
    with site() as port:
        (made,) = (await play("fetch.yaml", tasks("fetch", PORT=port))).values()
    assert errors(made) == []
    assert "nine to five" in seen(made)
