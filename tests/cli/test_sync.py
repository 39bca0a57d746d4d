"""Two lines without `async`: in scripts, in notebooks, and left early in every way."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import nexau
from nexau.definitions.functions import python_tool
from nexau.models.base import ModelRequest, Turn
from nexau.testing import FunctionPolicy, calls
from nexau.transports.protocol import Text
from tests.cli.conftest import task, write_tasks

SERVER = str(Path(__file__).parents[1] / "runtime" / "servers" / "counter.py")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No thread of ours and no child outlives a facade. Other tests' servers may be there."""
    before = set(psutil.Process().children(recursive=True))
    yield
    names = {thread.name for thread in threading.enumerate()}
    assert "nexau-runtime" not in names
    assert not set(psutil.Process().children(recursive=True)) - before


def test_one_rollout(place: Path) -> None:
    trajectory = nexau.run("scripted.yaml", "Do it")
    assert (trajectory.status, trajectory.answer) == ("completed", "all done")


def test_an_agent_made_in_code() -> None:
    agent = nexau.Agent("echo", FunctionPolicy(lambda request: Turn(content="yes")))
    assert nexau.run(agent, nexau.Task("Is it?")).answer == "yes"


def test_many_rollouts(place: Path) -> None:
    found = list(nexau.rollouts("agent.yaml", "tasks.jsonl", concurrency=2, repeat=2))
    assert len(found) == 10
    assert {trajectory.status for trajectory in found} == {"completed"}


def test_tasks_from_a_generator(place: Path) -> None:
    tasks = (task(0, id=str(number)) for number in range(3))
    found = nexau.rollouts(Path("agent.yaml"), tasks)
    assert sorted(trajectory.task for trajectory in found) == ["0", "1", "2"]


def test_inside_a_running_loop(place: Path) -> None:
    async def cell() -> str | None:
        return nexau.run("scripted.yaml", "Do it").answer

    assert asyncio.run(cell()) == "all done"


class Hanging:
    """A policy that answers the first task, hangs in all others, and counts who was cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.hanging = threading.Event()

    async def turn(self, request: ModelRequest) -> Turn:
        if request.task != "1":
            self.hanging.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        while not self.hanging.is_set():
            await asyncio.sleep(0)
        return Turn(content="first")

    async def aclose(self) -> None:
        return


def test_break_cancels_what_runs() -> None:
    policy = Hanging()
    for trajectory in nexau.rollouts(nexau.Agent("a", policy), ["x", "y"], concurrency=2):
        assert trajectory.answer == "first"
        break
    assert policy.cancelled == 1


def test_an_error_in_the_loop_cancels_what_runs() -> None:
    policy = Hanging()
    with pytest.raises(LookupError, match="mine"):
        for _ in nexau.rollouts(nexau.Agent("a", policy), ["x", "y"], concurrency=2):
            raise LookupError("mine")
    assert policy.cancelled == 1


def test_a_kept_generator_is_closed() -> None:
    policy = Hanging()
    found = nexau.rollouts(nexau.Agent("a", policy), ["x", "y"], concurrency=2)
    assert next(found).answer == "first"
    assert policy.cancelled == 0
    found.close()
    assert policy.cancelled == 1


def test_a_generator_that_never_began_holds_nothing() -> None:
    nexau.rollouts(nexau.Agent("a", Hanging()), ["x"])


def test_ctrl_c() -> None:
    policy = Hanging()

    def press() -> None:
        policy.hanging.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(nexau.rollouts(nexau.Agent("a", policy), [nexau.Task("y", id="2")]))
    thread.join()
    assert policy.cancelled == 1


def test_servers_are_gone_after_a_break() -> None:
    server = nexau.StdioServer(command="{python}", args=(SERVER,))
    policy = FunctionPolicy(
        lambda request: calls(("pid", {})) if not request.turn else Turn(content="done")
    )
    agent = nexau.Agent(
        "a", policy, tools=(nexau.McpTools("counter"),), mcp_servers={"counter": server}
    )
    for trajectory in nexau.rollouts(agent, ["x"] * 5, concurrency=1):
        assert not trajectory.steps[0].results[0].is_error
        break


def test_what_is_wrong_is_raised(place: Path) -> None:
    with pytest.raises(nexau.DefinitionError, match=r"did you mean 'agent\.yaml'"):
        nexau.rollouts("agnt.yaml", "tasks.jsonl")
    with pytest.raises(nexau.DefinitionError, match=r"tasks\.jsonl"):
        list(nexau.rollouts("agent.yaml", "task.jsonl"))


def test_a_server_that_cannot_be_had() -> None:
    agent = nexau.Agent(
        "a",
        Hanging(),
        tools=(nexau.McpTools("gone"),),
        mcp_servers={"gone": nexau.StdioServer(command="no-such-command-here")},
    )
    with pytest.raises(nexau.ToolsUnavailable):
        nexau.run(agent, "x")


def test_a_broken_line_is_raised_after_what_came_before(place: Path) -> None:
    write_tasks(place / "t.jsonl", [task(0), task(0)])
    with (place / "t.jsonl").open("a") as file:
        file.write("{\n")
    found = []
    with pytest.raises(nexau.DefinitionError, match=r"t\.jsonl:3"):
        for trajectory in nexau.rollouts("agent.yaml", "t.jsonl"):
            found.append(trajectory)  # noqa: PERF402
    assert len(found) == 2


def plain(seconds: float) -> str:
    """Waits.

    Args:
        seconds: How long.
    """
    return str(seconds)


def test_plain_functions_run() -> None:
    policy = FunctionPolicy(
        lambda request: (
            calls(("plain", {"seconds": 1})) if not request.turn else Turn(content="done")
        )
    )
    agent = nexau.Agent("a", policy, tools=(python_tool(plain),))
    (result,) = nexau.run(agent, "x").steps[0].results
    assert result.content == (Text("1.0"),)
