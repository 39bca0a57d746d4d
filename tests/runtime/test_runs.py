"""Streams of rollouts: order, repeats, retries, sinks, stopping early."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import nexau
from nexau.attempt import derive_seed
from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, Task
from nexau.models.base import ModelError, ModelRequest, Turn
from nexau.output.sinks import Item, SinkClosed
from nexau.runs import Run
from nexau.testing import FunctionPolicy, ListSink, calls, turns
from nexau.trajectory import Called, Finished, Started, Step, Trajectory

pytestmark = pytest.mark.anyio


async def note(text: str) -> str:
    """Notes.

    Args:
        text: What.
    """
    return text


def agent(policy: Any) -> Agent:
    return Agent("tester", policy, tools=(python_tool(note),))


ECHO = FunctionPolicy(lambda request: Turn(content=str(request.messages[-1].content)))


async def hang(request: ModelRequest) -> Turn:
    await anyio.sleep_forever()
    raise AssertionError


async def until_running(run: Run, count: int) -> None:
    while run.statistics()["running"] < count:
        await anyio.sleep(0)


async def test_every_task_and_repeat_ends_in_one_trajectory() -> None:
    async with nexau.open_runtime() as runtime:
        tasks = [Task("a", id="x"), Task("b"), "c"]
        async with runtime.rollouts(agent(ECHO), tasks, concurrency=2, repeat=3) as run:
            done = [trajectory async for trajectory in run]
    assert sorted((t.task, t.repeat) for t in done) == [
        (task, repeat) for task in ("2", "3", "x") for repeat in range(3)
    ]
    assert {t.id for t in done} == {f"{t.task}/{t.repeat}" for t in done}
    assert run.summary().by_status == {"completed": 9}


async def test_seeds_follow_the_run_task_and_repeat_only() -> None:
    async def seeds(concurrency: int) -> dict[str, int]:
        async with (
            nexau.open_runtime() as runtime,
            runtime.rollouts(
                agent(ECHO), list("abc"), concurrency=concurrency, repeat=2, seed=7
            ) as run,
        ):
            return {t.id: t.seed async for t in run}

    assert await seeds(1) == await seeds(4)
    assert derive_seed(7, "1", 0) != derive_seed(7, "1", 1) != derive_seed(8, "1", 0)


async def test_tasks_are_pulled_as_slots_free_up() -> None:
    pulled = 0
    release = anyio.Event()

    async def source() -> AsyncIterator[Task]:
        nonlocal pulled
        for _ in range(100):
            pulled += 1
            yield Task("t")

    async def play(request: ModelRequest) -> Turn:
        await release.wait()
        return Turn(content="ok")

    async with nexau.open_runtime() as runtime:
        policy = FunctionPolicy(play)
        async with runtime.rollouts(agent(policy), source(), concurrency=4) as run:
            await until_running(run, 4)
            assert pulled == 4
            release.set()
            summary = await run.wait()
    assert summary.rollouts == 100


async def test_a_task_that_cannot_be_read_ends_the_run_after_what_was_begun() -> None:
    async def source() -> AsyncIterator[Task]:
        yield Task("a")
        raise ValueError("line 2: not JSON")

    done: list[Trajectory] = []
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(ECHO), source(), concurrency=2) as run:
            with pytest.raises(ValueError, match="line 2"):
                async for trajectory in run:
                    done.append(trajectory)  # noqa: PERF401
    assert [t.answer for t in done] == ["a"]


async def test_breaking_off_cancels_the_rest() -> None:
    begun = 0
    four = anyio.Event()

    async def play(request: ModelRequest) -> Turn:
        nonlocal begun
        begun += 1
        if begun == 4:
            four.set()
        await four.wait()
        return Turn(content="quick") if request.task == "1" else await hang(request)

    sink = ListSink()
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(FunctionPolicy(play)), list("abcd"), concurrency=4, sinks=[sink]
        ) as run:
            async for trajectory in run:
                assert trajectory.answer == "quick"
                break
    assert sorted(t.status for t in sink.items if isinstance(t, Trajectory)) == [
        "cancelled",
        "cancelled",
        "cancelled",
        "completed",
    ]


async def test_an_error_in_the_body_leaves_nothing_running() -> None:
    async with nexau.open_runtime() as runtime:
        with pytest.raises(KeyError):
            async with runtime.rollouts(
                agent(FunctionPolicy(hang)), list("ab"), concurrency=2
            ) as run:
                await until_running(run, 2)
                raise KeyError
        assert run.statistics()["running"] == 0


async def test_cancelling_the_host_seals_every_rollout() -> None:
    sink = ListSink()
    async with nexau.open_runtime() as runtime:
        with anyio.CancelScope() as scope:
            async with runtime.rollouts(
                agent(FunctionPolicy(hang)), list("ab"), concurrency=2, sinks=[sink]
            ) as run:
                await until_running(run, 2)
                scope.cancel()
                await anyio.sleep_forever()
    assert [t.status for t in sink.items if isinstance(t, Trajectory)] == ["cancelled"] * 2


@pytest.mark.parametrize("ticks", range(6))
@pytest.mark.parametrize("parallel", [1, 2])
async def test_what_comes_while_a_run_is_cut_off_harms_nothing(parallel: int, ticks: int) -> None:
    release, begun = anyio.Event(), 0

    async def wait(number: int) -> str:
        """Waits.

        Args:
            number: Of the call.
        """
        nonlocal begun
        begun += 1
        await release.wait()
        return "late"

    async def play(request: ModelRequest) -> Turn:
        if len(request.messages) == 1 and parallel == 1:
            await release.wait()
        return calls(*[("wait", {"number": i}) for i in range(parallel)])

    tester = Agent("tester", FunctionPolicy(play), tools=(python_tool(wait),))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(tester, list("abcd"), concurrency=4) as run:
            await until_running(run, 4)
            while parallel == 2 and begun < 8:
                await anyio.sleep(0)
            run.cancel()
            for _ in range(ticks):
                await anyio.lowlevel.checkpoint()
            release.set()
            ended = [trajectory async for trajectory in run]
    assert [each.status for each in ended] == ["cancelled"] * 4


async def test_drain_lets_running_rollouts_finish() -> None:
    release = anyio.Event()

    async def play(request: ModelRequest) -> Turn:
        await release.wait()
        return Turn(content="ok")

    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(FunctionPolicy(play)), map(str, range(50)), concurrency=3
        ) as run:
            await until_running(run, 3)
            run.drain()
            release.set()
            summary = await run.wait()
    assert summary.by_status == {"completed": 3}


@pytest.mark.parametrize("end", ["drain", "cancel", "leave"])
async def test_a_silent_source_does_not_hold_up_the_end(end: str) -> None:
    async def silent() -> AsyncIterator[Task]:
        yield Task("one")
        await anyio.sleep_forever()

    async with nexau.open_runtime() as runtime:
        with anyio.fail_after(30):
            async with runtime.rollouts(agent(ECHO), silent(), concurrency=2) as run:
                assert (await anext(run)).answer == "one"
                if end != "leave":
                    run.drain() if end == "drain" else run.cancel()
                    await run.wait()


async def test_a_call_is_seen_before_its_result() -> None:
    release = anyio.Event()

    async def wait() -> str:
        """Waits."""
        await release.wait()
        return "ok"

    waiting = Agent("tester", turns(calls(("wait", {})), "done"), tools=(python_tool(wait),))
    async with nexau.open_runtime() as runtime:
        with runtime.subscribe() as events:
            async with runtime.rollouts(waiting, ["go"]) as run:
                with anyio.fail_after(30):
                    async for event in events:
                        if isinstance(event, Called):
                            break
                release.set()
                await run.wait()


async def test_drain_cancels_after_its_grace() -> None:
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(FunctionPolicy(hang)), map(str, range(50)), concurrency=3
        ) as run:
            await until_running(run, 3)
            run.drain(grace=0.01)
            summary = await run.wait()
    assert summary.by_status == {"cancelled": 3}


async def test_every_attempt_of_a_retried_rollout_is_kept() -> None:
    attempts = 0

    def play(request: ModelRequest) -> Turn:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ModelError("try again")
        return Turn(content="third time")

    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(FunctionPolicy(play)), ["t"], retries=5) as run:
            done = [t async for t in run]
    assert [(t.id, t.attempt, t.final, t.status) for t in done] == [
        ("1/0", 0, False, "failed"),
        ("1/0/1", 1, False, "failed"),
        ("1/0/2", 2, True, "completed"),
    ]


@pytest.mark.parametrize("error", [SinkClosed(), BrokenPipeError()])
async def test_a_closed_sink_ends_the_run_without_a_failure(error: Exception) -> None:
    class Closing(ListSink):
        async def write(self, item: Item) -> None:
            await super().write(item)
            if len(self.items) == 5:
                raise error

    sink = Closing()
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(ECHO), map(str, range(10_000)), concurrency=2, sinks=[sink]
        ) as run:
            summary = await run.wait()
    assert len(sink.items) == 5
    assert summary.rollouts < 10_000


async def test_a_sink_that_cannot_write_fails_the_run() -> None:
    class Full(ListSink):
        async def write(self, item: Item) -> None:
            raise OSError(28, "No space left on device")

    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(ECHO), map(str, range(1000)), concurrency=2, sinks=[Full()]
        ) as run:
            with pytest.raises(OSError, match="No space"):
                await run.wait()


async def test_a_slow_sink_holds_the_run_back() -> None:
    gate = anyio.Event()

    class Slow(ListSink):
        async def write(self, item: Item) -> None:
            await gate.wait()
            await super().write(item)

    sink = Slow()
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent(ECHO), map(str, range(2000)), concurrency=4, sinks=[sink]
        ) as run:

            async def consume() -> None:
                await run.wait()

            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                await anyio.wait_all_tasks_blocked()
                assert run.statistics()["done"] < 200, "mailbox and slots bound what is held"
                gate.set()
    assert len(sink.items) == 2000


@pytest.mark.parametrize("emits", ["steps", "events"])
async def test_steps_and_events_stream_in_order(emits: Any) -> None:
    sink = ListSink(emits)
    policy = turns(calls(("note", {"text": "x"}), ("note", {"text": "y"})), "done")
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(policy), list("ab"), concurrency=2, sinks=[sink]) as run:
            done = {t.id: t async for t in run}
    for rollout, trajectory in done.items():
        items = [item for item in sink.items if not isinstance(item, Trajectory)]
        mine = [item for item in items if item.rollout == rollout]
        if emits == "steps":
            assert tuple(mine) == trajectory.steps
        else:
            assert [e.seq for e in mine if not isinstance(e, Step)] == list(range(len(mine)))
            assert isinstance(mine[0], Started)
            assert isinstance(mine[-1], Finished)


async def test_subscribers_see_events_live() -> None:
    async with nexau.open_runtime() as runtime:
        with runtime.subscribe() as events:
            done = await runtime.run(agent(turns("hi")), "go")
            first = await anext(events)
    assert isinstance(first, Started)
    assert first.rollout == done.id


async def test_one_runtime_serves_many_runs_at_once() -> None:
    async with nexau.open_runtime() as runtime:
        done: list[int] = []

        async def one() -> None:
            async with runtime.rollouts(agent(ECHO), map(str, range(20)), concurrency=3) as run:
                done.append((await run.wait()).rollouts)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert done == [20] * 5


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"repeat": 0}, {"retries": -1}])
async def test_wrong_numbers_are_refused(wrong: dict[str, int]) -> None:
    async with nexau.open_runtime() as runtime:
        with pytest.raises(ValueError, match="at least"):
            async with runtime.rollouts(agent(ECHO), list("a"), **wrong):  # type: ignore[arg-type]
                pass


async def test_the_tree_shows_who_is_at_work() -> None:
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent(FunctionPolicy(hang)), list("ab"), concurrency=2) as run:
            await until_running(run, 2)
            tree = runtime.tree()
            run.cancel()
            await run.wait()
    for name in ("servers", "models", "run-1", "slot-1", "slot-2", "root"):
        assert name in tree
