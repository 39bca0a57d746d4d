"""Several sinks at once, each with its policy: block, spill, drop; files, slow readers, HTTP."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from hypothesis import given, strategies as st

import nexau
from nexau.boundary import describe
from nexau.definitions.values import Agent
from nexau.models.base import ModelRequest, Turn
from nexau.output.httpsink import open_http_sink
from nexau.output.sinks import Emits, Item, Outlet
from nexau.output.spilling import SpillQueue
from nexau.runs import Run
from nexau.testing import FunctionPolicy, ListSink
from nexau.trajectory import Trajectory

pytestmark = pytest.mark.anyio

AGENT = Agent("tester", FunctionPolicy(lambda request: Turn(content=f"done {request.task}")))


class SlowSink:
    """Takes nothing until it is let."""

    def __init__(self, emits: Emits = "trajectories") -> None:
        self.emits: Emits = emits
        self.lines: list[bytes] = []
        self.items: list[Item] = []
        self.free = anyio.Event()

    async def write(self, item: Item) -> None:
        await self.free.wait()
        self.items.append(item)

    async def write_line(self, line: bytes) -> None:
        await self.free.wait()
        self.lines.append(line)


@given(st.lists(st.integers(0, 40)), st.integers(1, 200))
def test_a_queue_with_a_file_is_a_queue(moves: list[int], memory: int) -> None:
    queue = SpillQueue(memory=memory)
    known: list[bytes] = []
    for number, size in enumerate(moves):
        if size % 3 == 2:
            assert queue.get() == (known.pop(0) if known else None)
        else:
            known.append(f"{number}:".encode() + b"x" * size)
            queue.put(known[-1])
        assert len(queue) == len(known)
        assert queue.waiting >= sum(map(len, known))
    while known:
        assert queue.get() == known.pop(0)
    assert queue.get() is None
    queue.close()


async def ended(run: Run, count: int) -> None:
    while run.statistics()["done"] < count:
        await anyio.sleep(0)


async def test_a_sink_that_spills_does_not_hold_the_run_up(tmp_path: Path) -> None:
    slow, quick = SlowSink(), ListSink()
    sinks = [Outlet(slow, "spill", tmp_path), quick]
    async with nexau.open_runtime() as runtime, anyio.create_task_group() as group:
        async with runtime.rollouts(AGENT, ["x" * 4000] * 600, sinks=sinks) as run:
            group.start_soon(run.wait)
            with anyio.fail_after(60):
                await ended(run, 600)
                while len(quick.items) < 600:
                    await anyio.sleep(0.01)
            assert not slow.lines
            # A megabyte in memory, the rest in a file without a name.
            assert run.statistics()["sinks"][0]["spilled_bytes"] > 2_000_000
            assert os.listdir(tmp_path) == []  # noqa: PTH208
            slow.free.set()
    assert sorted(json.loads(line)["task"] for line in slow.lines) == sorted(
        str(number) for number in range(1, 601)
    )


async def test_a_sink_that_blocks_holds_the_run_up_and_memory_stays() -> None:
    slow = SlowSink()
    async with nexau.open_runtime() as runtime, anyio.create_task_group() as group:
        async with runtime.rollouts(AGENT, ["x"] * 1000, concurrency=4, sinks=[slow]) as run:
            group.start_soon(run.wait)
            held = -1
            while run.statistics()["done"] != held:
                held = run.statistics()["done"]
                await anyio.sleep(0.3)
            # The mailbox and the slots.
            assert held < 64 + 8
            slow.free.set()
            with anyio.fail_after(60):
                await ended(run, 1000)
    assert len(slow.items) == 1000


async def test_dropping_loses_events_and_counts_them_but_no_trajectory() -> None:
    slow, whole = SlowSink("events"), ListSink()
    sinks = [Outlet(slow, "drop"), Outlet(whole, "drop")]
    async with nexau.open_runtime() as runtime, anyio.create_task_group() as group:
        async with runtime.rollouts(AGENT, ["x"] * 300, sinks=sinks) as run:
            group.start_soon(run.wait)
            with anyio.fail_after(60):
                await ended(run, 300)
            dropped = run.statistics()["sinks"][0]["dropped"]
            slow.free.set()
    assert len(whole.items) == 300
    # Three events a rollout: started, model_turn, finished.
    assert dropped > 0
    assert dropped + len(slow.items) == 900


class Collector:
    """An HTTP endpoint that refuses first, and remembers keys."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, list[Any]]] = []
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            try:
                yield f"http://127.0.0.1:{port}/lines"
            finally:
                group.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        data = b""
        async with stream:
            while True:
                while b"\r\n\r\n" not in data:
                    try:
                        data += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                head, _, data = data.partition(b"\r\n\r\n")
                headers = dict(
                    line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:]
                )
                size = int(headers["content-length"])
                while len(data) < size:
                    data += await stream.receive()
                body, data = data[:size], data[size:]
                answer = self.answers.pop(0) if self.answers else b"204 No Content"
                if answer.startswith(b"2"):
                    lines = [json.loads(line) for line in body.splitlines()]
                    self.requests.append((headers["idempotency-key"], lines))
                await stream.send(b"HTTP/1.1 " + answer + b"\r\ncontent-length: 0\r\n\r\n")


async def test_lines_are_posted_in_batches_and_again_where_that_fails() -> None:
    collector = Collector(b"503 Busy", b"429 Slow", b"204 No Content")
    async with collector.open() as url, nexau.open_runtime() as runtime:
        with anyio.fail_after(60):
            async with open_http_sink(url) as sink:
                async with runtime.rollouts(AGENT, ["x"] * 600, sinks=[sink]) as run:
                    await run.wait()
                    told = sink.statistics()
    assert told["sent"] == 600
    assert told["attempts"] == told["batches"] + 2
    assert 3 <= len(collector.requests) == told["batches"] < 20
    assert len({key for key, _ in collector.requests}) == told["batches"]
    assert sorted(int(line["task"]) for _, lines in collector.requests for line in lines) == list(
        range(1, 601)
    )


async def test_an_endpoint_that_refuses_for_good_ends_the_run() -> None:
    collector = Collector(b"403 Forbidden")
    async with collector.open() as url, nexau.open_runtime() as runtime:
        with anyio.fail_after(60), pytest.raises((OSError, ExceptionGroup)) as raised:
            async with open_http_sink(url) as sink:
                async with runtime.rollouts(AGENT, ["x"] * 10, sinks=[sink]) as run:
                    await run.wait()
    assert "does not take lines: HTTP status 403" in describe(raised.value)


async def test_a_kept_run_feeds_all_its_sinks_the_same_lines(tmp_path: Path) -> None:
    slow, quick = SlowSink(), ListSink()
    slow.free.set()

    async def turn(request: ModelRequest) -> Turn:
        return Turn("hello")

    agent = Agent("tester", FunctionPolicy(turn))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(
            agent, ["x"] * 20, sinks=[Outlet(slow, "spill"), quick], out=tmp_path / "run"
        ) as run:
            await run.wait()
    kept = (tmp_path / "run" / "trajectories" / "000001.jsonl").read_bytes().splitlines()
    assert slow.lines == kept
    assert [item.id for item in quick.items if isinstance(item, Trajectory)] == [
        json.loads(line)["id"] for line in kept
    ]
