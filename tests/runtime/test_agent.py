"""The ReAct loop: what becomes of calls, results, limits and faults."""

import threading
from typing import Any

import anyio
import pytest

import nexau
from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, Prompt, Task
from nexau.models.base import ModelError, ModelRequest, ToolCall, ToolMessage, Turn
from nexau.testing import FunctionPolicy, calls, turns
from nexau.trajectory import Trajectory
from nexau.transports.protocol import Limits, Text, Usage

pytestmark = pytest.mark.anyio


async def add(a: int, b: int) -> int:
    """Adds.

    Args:
        a: One number.
        b: Another.
    """
    return a + b


def blocking_thread() -> str:
    """The name of the thread it runs in."""
    return threading.current_thread().name


async def explode() -> str:
    """Always fails."""
    raise RuntimeError("boom")


async def sleep_for_ever() -> str:
    """Hangs."""
    await anyio.sleep_forever()
    return ""


async def huge() -> str:
    """Two megabytes."""
    return "x" * 2_000_000


async def run(agent: Agent, task: str | Task = "go", **options: Any) -> Trajectory:
    async with nexau.open_runtime() as runtime:
        return await runtime.run(agent, task, **options)


def agent(model: Any, *functions: Any, **rest: Any) -> Agent:
    return Agent("tester", model, tools=tuple(python_tool(f) for f in functions), **rest)


async def test_call_result_answer() -> None:
    policy = turns(calls(("add", {"a": 1, "b": 2})), "three")
    done = await run(agent(policy, add, system_prompt=Prompt("Be brief.")))
    assert (done.status, done.answer) == ("completed", "three")
    first, last = done.steps
    assert first.calls[0].arguments == {"a": 1, "b": 2}
    assert first.results[0].structured == 3
    assert [message.content for message in first.prompt] == ["Be brief.", "go"]
    assert last.prompt == ()
    seen = policy.requests[1].messages[-1]
    assert isinstance(seen, ToolMessage)
    assert seen.content == (Text("3"),)


async def test_results_keep_the_order_of_calls_whichever_ends_first() -> None:
    waited = anyio.Event()

    async def late() -> str:
        """Ends after the other."""
        await waited.wait()
        return "late"

    async def early() -> str:
        """Ends first."""
        waited.set()
        return "early"

    done = await run(agent(turns(calls(("late", {}), ("early", {})), "ok"), late, early))
    assert [r.structured or r.content[0].text for r in done.steps[0].results] == ["late", "early"]  # type: ignore[union-attr]


async def test_parallel_calls_are_bounded() -> None:
    running, most = 0, 0
    three = anyio.Event()

    async def busy() -> None:
        """Counts itself, and stays until three are there."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            three.set()
        await three.wait()
        await anyio.sleep(0)
        running -= 1

    policy = turns(calls(*[("busy", {})] * 10), "ok")
    done = await run(agent(policy, busy, limits=Limits(parallel_calls=3)))
    assert done.status == "completed"
    assert most == 3


async def test_a_plain_function_never_runs_on_the_loop() -> None:
    done = await run(agent(turns(calls(("blocking_thread", {})), "ok"), blocking_thread))
    (part,) = done.steps[0].results[0].content
    assert isinstance(part, Text)
    assert part.text != threading.current_thread().name


@pytest.mark.parametrize(
    ("call", "error_class", "text"),
    [
        (ToolCall("c", "explode", {}), "tool_error", "RuntimeError: boom"),
        (ToolCall("c", "ad", {"a": 1}), "unknown_tool", "did you mean 'add'?"),
        (ToolCall("c", "add", {"a": 1}), "invalid_arguments", "b"),
        (ToolCall("c", "add", {"a": 1, "b": "x"}), "invalid_arguments", "b"),
        (ToolCall("c", "add", None, '{"a": 1,'), "invalid_arguments", "not a JSON object"),
    ],
)
async def test_errors_are_observations(call: ToolCall, error_class: str, text: str) -> None:
    done = await run(agent(turns(Turn(calls=(call,)), "sorry"), add, explode))
    assert done.status == "completed"
    (seen,) = done.steps[0].results
    assert (seen.is_error, seen.error_class) == (True, error_class)
    assert isinstance(seen.content[0], Text)
    assert text in seen.content[0].text


async def test_a_call_that_hangs_ends_with_its_deadline() -> None:
    tool = python_tool(sleep_for_ever, timeout=0.01)
    done = await run(Agent("tester", turns(calls(("sleep_for_ever", {})), "ok"), tools=(tool,)))
    assert done.status == "completed"
    assert done.steps[0].results[0].error_class == "timeout"


async def test_a_plain_function_that_blocks_ends_with_its_deadline() -> None:
    release = threading.Event()

    def block() -> str:
        """Blocks its thread."""
        release.wait(10)
        return "late"

    policy = turns(calls(("block", {}), ("add", {"a": 1, "b": 1})), calls(("block", {})), "ok")
    tools = (python_tool(block, timeout=0.01), python_tool(add))
    done = await run(Agent("tester", policy, tools=tools))
    release.set()
    assert done.status == "completed"
    assert [r.error_class for r in done.steps[0].results] == ["timeout", None]
    assert done.steps[1].results[0].error_class == "timeout", "the next call gets another worker"


async def test_a_huge_result_is_cut_with_a_note() -> None:
    done = await run(agent(turns(calls(("huge", {})), "ok"), huge))
    text, note = done.steps[0].results[0].content
    assert isinstance(text, Text)
    assert isinstance(note, Text)
    assert len(text.text) == 1_000_000
    assert "cut" in note.text


async def test_calls_that_share_an_id_are_told_apart() -> None:
    one = ToolCall("same", "add", {"a": 1, "b": 1})
    two = ToolCall("same", "add", {"a": 2, "b": 2})
    done = await run(agent(turns(Turn(calls=(one, two)), "ok"), add))
    assert [r.structured for r in done.steps[0].results] == [2, 4]
    assert len({c.id for c in done.steps[0].calls}) == 2


async def test_a_model_that_fails_for_good_fails_the_rollout() -> None:
    def play(request: ModelRequest) -> Turn:
        if request.turn == 1:
            raise ModelError("the endpoint is gone", status=503)
        return calls(("add", {"a": 1, "b": 1}))

    done = await run(agent(FunctionPolicy(play), add))
    assert done.status == "failed"
    assert done.error is not None
    assert (done.error.kind, done.error.message) == ("model", "the endpoint is gone")
    assert len(done.steps) == 1, "what was done is kept"


async def test_a_fault_of_embedded_code_is_a_failed_trajectory() -> None:
    def play(request: ModelRequest) -> Turn:
        raise ZeroDivisionError("a bug of the host")

    done = await run(agent(FunctionPolicy(play)))
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.kind == "crashed"
    assert "ZeroDivisionError" in done.error.message


async def test_a_prompt_that_does_not_render_fails_the_rollout() -> None:
    done = await run(agent(turns("hi"), system_prompt=Prompt("{{ missing }}")))
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.kind == "definition"


async def test_the_prompt_sees_the_tasks_variables() -> None:
    policy = turns("hi")
    task = Task("go", variables={"who": "Ada"})
    await run(agent(policy, system_prompt=Prompt("You serve {{ who }}.")), task)
    assert policy.requests[0].messages[0].content == "You serve Ada."


# Limits


async def test_steps_end_the_rollout_with_a_status() -> None:
    policy = turns(calls(("add", {"a": 1, "b": 1}), content="thinking"))
    done = await run(agent(policy, add, limits=Limits(steps=3)))
    assert (done.status, done.limit, done.answer) == ("limit", "steps", "thinking")
    assert len(done.steps) == 3
    assert done.error is None


async def test_tokens_end_the_rollout() -> None:
    turn = calls(("add", {"a": 1, "b": 1}))
    spent = Turn(calls=turn.calls, usage=Usage(input_tokens=40, output_tokens=10))
    done = await run(agent(turns(spent), add, limits=Limits(tokens=120)))
    assert (done.status, done.limit) == ("limit", "tokens")
    assert done.usage == Usage(80, 20) or done.usage == Usage(120, 30)


async def test_seconds_cut_a_call_short_and_every_call_is_answered() -> None:
    policy = turns(calls(("sleep_for_ever", {})))
    done = await run(agent(policy, sleep_for_ever, limits=Limits(seconds=0.02)))
    assert (done.status, done.limit) == ("limit", "seconds")
    assert done.steps[0].results[0].error_class == "limit"


# Delegation


NO_LIMITS = Limits()


def family(
    child: Any, parent: Any, *, above: Limits = NO_LIMITS, below: Limits = NO_LIMITS
) -> Agent:
    sub = Agent(
        "child",
        child,
        "Does things.",
        tools=(python_tool(add),),
        limits=below,
    )
    return Agent("parent", parent, agents=(sub,), limits=above)


async def test_a_sub_agent_is_called_like_a_tool() -> None:
    child = turns(calls(("add", {"a": 2, "b": 2})), "four")
    parent = turns(calls(("child", {"task": "2+2"})), "it is four")
    done = await run(family(child, parent))
    assert done.answer == "it is four"
    assert [step.agent for step in done.steps] == ["root/child#1"] * 2 + ["root"] * 2
    call = done.steps[2].results[0]
    assert (call.agent, call.content) == ("root/child#1", (Text("four"),))
    assert child.requests[0].messages[-1].content == "2+2"
    assert child.requests[0].path == "root/child#1"
    assert {record.name for record in done.agents} == {"parent", "child"}


async def test_children_in_parallel_are_numbered_in_the_order_of_calls() -> None:
    child = FunctionPolicy(lambda r: Turn(content=f"{r.path}:{r.messages[-1].content}"))
    parent = turns(calls(*[("child", {"task": str(i)}) for i in range(5)]), "ok")
    done = await run(family(child, parent))
    results = next(step for step in done.steps if step.results).results
    assert [r.agent for r in results] == [f"root/child#{i + 1}" for i in range(5)]
    texts = [r.content[0].text for r in results if isinstance(r.content[0], Text)]
    assert texts == [f"root/child#{i + 1}:{i}" for i in range(5)]


async def test_a_childs_own_limit_is_an_observation() -> None:
    child = turns(calls(("add", {"a": 1, "b": 1})))
    parent = turns(calls(("child", {"task": "x"})), "gave up")
    done = await run(family(child, parent, below=Limits(steps=2)))
    assert (done.status, done.answer) == ("completed", "gave up")
    result = next(s for s in done.steps if s.agent == "root").results[0]
    assert result.error_class == "limit"
    assert isinstance(result.content[0], Text)
    assert "2 steps" in result.content[0].text


async def test_what_children_spend_is_spent_by_the_parent() -> None:
    child = turns(calls(("add", {"a": 1, "b": 1})))
    parent = turns(calls(("child", {"task": "x"}), ("child", {"task": "y"})))
    done = await run(family(child, parent, above=Limits(steps=6)))
    assert (done.status, done.limit) == ("limit", "steps")
    assert len(done.steps) == 6


async def test_depth_is_bounded() -> None:
    parent = turns(calls(("child", {"task": "x"})), "alone")
    done = await run(family(turns("never"), parent, above=Limits(depth=0)))
    assert done.answer == "alone"
    assert done.steps[0].results[0].error_class == "limit"


async def test_a_child_that_crashes_is_an_observation() -> None:
    def play(request: ModelRequest) -> Turn:
        raise ZeroDivisionError("child bug")

    parent = turns(calls(("child", {"task": "x"})), "went on")
    done = await run(family(FunctionPolicy(play), parent))
    assert (done.status, done.answer) == ("completed", "went on")
    assert next(s for s in done.steps if s.results).results[0].error_class == "crashed"


async def test_a_childs_seconds_do_not_end_the_parent() -> None:
    async def hang(request: ModelRequest) -> Turn:
        await anyio.sleep_forever()
        raise AssertionError

    parent = turns(calls(("child", {"task": "x"})), "went on")
    done = await run(family(FunctionPolicy(hang), parent, below=Limits(seconds=0.02)))
    assert (done.status, done.answer) == ("completed", "went on")
    assert next(s for s in done.steps if s.results).results[0].error_class == "limit"
