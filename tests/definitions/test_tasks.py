"""Streams of tasks: from files, pipes and iterables, cut short or not."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

from nexau.definitions.values import DefinitionError, Task
from nexau.tasks.lines import MAX_LINE, TaskLines
from nexau.tasks.stream import read_tasks

pytestmark = pytest.mark.anyio
Write = Callable[..., Path]


async def collect(source: Any) -> list[Task]:
    async with read_tasks(source) as stream:
        return [task async for task in stream]


async def test_a_file(write: Write) -> None:
    path = write(
        "t.jsonl",
        b'\xef\xbb\xbf{"input":"a"}\r\n\n  \n"b"\n'
        b'{"id":"x","input":"c","variables":{"k":[1]},"plan":{"turns":[]},"group":"g",'
        b'"metadata":{"m":1}}',
    )
    assert await collect(path) == await collect(str(path)) == [
        Task("a", "1"),
        Task("b", "4"),
        Task("c", "x", {"k": [1]}, {"turns": []}, "g", {"m": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"inpt": "x"}', "inpt: unknown key 'inpt'; did you mean 'input'?; missing key 'input'"),
        (b"{}", "missing key 'input'"),
        (b'{"input": 1}', "input: expected text, got 1; put it in quotes"),
        (b'{"input": "a", "variables": []}', "variables: expected a mapping, got a list"),
        (b'{"input": "a", "id": 7}', "id: expected text, got 7; put it in quotes"),
        (b"5", "expected an object with `input`, or a text, got 5"),
        (b"null", "expected an object with `input`, or a text, got None"),
        (b'["a"]', "expected an object with `input`, or a text, got ['a']"),
        (b"{", "a task is one JSON value on one line; here the line ends before the value does"),
        (b"[", "a task is one JSON value on one line; here the line ends before the value does"),
        (b"input: a", "not JSON: JSON is malformed: invalid character (byte 0)"),
        (b'{"input": NaN}', "not JSON: JSON is malformed: invalid character (byte 10)"),
        (b'"a" "b"', "not JSON: JSON is malformed: trailing characters (byte 5)"),
        (b'"\xff"', "not valid UTF-8"),
        ('"a"'.encode("utf-16"), "not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"input":"a","plan":' + b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_bad_lines(write: Write, line: bytes, message: str) -> None:
    path = write("t.jsonl", b'"first"\n\n' + line + b'\n"never"\n')
    stream = read_tasks(path)
    assert await anext(stream) == Task("first", "1")
    with pytest.raises(DefinitionError) as caught:
        await anext(stream)
    assert str(caught.value) == f"t.jsonl:3: {message}"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with path.open("wb") as file:
        file.write(b'"a"\n"')
        file.truncate(10 * MAX_LINE)  # sparse
    stream = read_tasks(path)
    assert (await anext(stream)).input == "a"
    with pytest.raises(DefinitionError, match=r":2: the line is longer than 16,000,000 bytes"):
        await anext(stream)


async def test_a_long_line(write: Write) -> None:
    tasks = await collect(write("t.jsonl", b'"' + b"x" * 3_000_000 + b'"\n"y"'))
    assert [len(task.input) for task in tasks] == [3_000_000, 1]


async def test_empty_files(write: Write) -> None:
    for text in ("", "\n\n", " "):
        assert await collect(write("t.jsonl", text)) == []
    assert await collect("/dev/null") == []


async def test_no_such_file(write: Write) -> None:
    write("tasks.jsonl", "")
    with pytest.raises(
        DefinitionError, match=r"no file task\.jsonl; did you mean 'tasks\.jsonl'\?"
    ):
        read_tasks("task.jsonl")
    with pytest.raises(DefinitionError, match="is a directory"):
        read_tasks(Path())
    path = write("gone.jsonl", "")
    stream = read_tasks(path)
    path.unlink()
    with pytest.raises(DefinitionError, match=r"gone\.jsonl: No such file or directory"):
        await anext(stream)


async def test_only_a_batch_is_in_memory(write: Write) -> None:
    path = write("t.jsonl", b'{"input":"some question"}\n' * 100_000)
    async with read_tasks(path) as stream:
        await anext(stream)
        assert len(stream._ready) < 20_000


@pytest.fixture
def pipe() -> Iterator[tuple[str, int]]:
    read, write = os.pipe()
    yield f"/dev/fd/{read}", write
    for descriptor in (read, write):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
async def test_a_pipe_gives_tasks_as_they_come_and_can_be_left(pipe: tuple[str, int]) -> None:
    path, end = pipe
    async with read_tasks(path) as stream:
        os.write(end, b'"a"\n"b')
        assert await anext(stream) == Task("a", "1")
        async with anyio.create_task_group() as group:
            group.start_soon(anext, stream)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        # Nothing was lost, and no thread waits in a read.
        os.write(end, b'c"\n')
        assert await anext(stream) == Task("bc", "2")
        os.close(end)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
async def test_a_fifo_waits_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    found: list[Task] = []

    async def read() -> None:
        found.extend(await collect(path))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        writer = await anyio.to_thread.run_sync(os.open, path, os.O_WRONLY)
        os.write(writer, b'"a"')
        os.close(writer)
    assert found == [Task("a", "1")]


PROGRAM = """
import anyio
from nexau.tasks.stream import read_tasks

async def main():
    async with read_tasks("-") as stream:
        with anyio.move_on_after({seconds}):
            async for task in stream:
                print(task.id, task.input, flush=True)
    print("left", flush=True)

anyio.run(main, backend={backend!r})
"""


def test_standard_input(anyio_backend_name: str, tmp_path: Path) -> None:
    program = PROGRAM.format(seconds=60, backend=anyio_backend_name)
    command = [sys.executable, "-c", program]
    piped = subprocess.run(command, input=b'"a"\n"b"', capture_output=True, check=True)
    assert piped.stdout.split() == [b"1", b"a", b"2", b"b", b"left"]
    (tmp_path / "t").write_bytes(b'"a"\n')
    with (tmp_path / "t").open("rb") as file:
        redirected = subprocess.run(command, stdin=file, capture_output=True, check=True)
    assert redirected.stdout.split() == [b"1", b"a", b"left"]
    nothing = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert nothing.stdout.split() == [b"left"]


def test_standard_input_that_stays_open_keeps_no_process(anyio_backend_name: str) -> None:
    program = PROGRAM.format(seconds=0.1, backend=anyio_backend_name)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"left\n"
        assert process.wait(timeout=60) == 0  # its standard input is still open
        process.stdin.close()


async def test_iterables() -> None:
    items = ["a", {"input": "b", "id": "x"}, Task("c"), Task("d", "own")]
    wanted = [Task("a", "1"), Task("b", "x"), Task("c", "3"), Task("d", "own")]

    async def later() -> AsyncIterator[Any]:
        for item in items:
            await anyio.lowlevel.checkpoint()
            yield item

    for source in (items, tuple(items), iter(items), (item for item in items), later()):
        assert await collect(source) == wanted


async def test_a_long_list() -> None:
    assert [task.id for task in await collect(["x"] * 600)] == [str(n) for n in range(1, 601)]
    assert len(await collect(iter(["x"] * 512))) == 512


async def test_iterables_are_pulled_off_the_loop() -> None:
    threads: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            threads.append(threading.get_ident())
            yield "x"

    async with read_tasks(endless()) as stream:
        for _ in range(3):
            await anext(stream)
    assert threading.get_ident() not in threads
    assert len(threads) < 1_000


async def test_bad_items_come_after_the_good_ones() -> None:
    stream = read_tasks(["a", {"input": "b", "varables": {}}, "c"])
    assert (await anext(stream)).input == "a"
    with pytest.raises(
        DefinitionError, match=r"^task 2: varables: unknown key 'varables'; did you mean"
    ):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    with pytest.raises(DefinitionError, match=r"^task 1: expected an object with `input`"):
        await collect([3])


async def test_an_iterables_own_error_passes() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await collect(broken())


async def test_a_blocked_iterable_can_be_left() -> None:
    entered, leave = threading.Event(), threading.Event()

    def blocked() -> Iterator[str]:
        entered.set()
        leave.wait()
        yield "never seen"

    stream = read_tasks(blocked())
    async with anyio.create_task_group() as group:
        group.start_soon(anext, stream)
        while not entered.is_set():
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    leave.set()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_async_generators_are_closed() -> None:
    closed = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    async with read_tasks(endless()) as stream:
        await anext(stream)
    assert closed == [True]


async def test_several_consumers_share_a_stream(write: Write) -> None:
    path = write("t.jsonl", b'"x"\n' * 1_000)
    seen: list[str] = []

    async def consume(stream: Any) -> None:
        async for task in stream:
            seen.append(task.id)
            await anyio.lowlevel.checkpoint()

    async with read_tasks(path) as stream, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(consume, stream)
    assert sorted(seen, key=int) == [str(n) for n in range(1, 1_001)]


@pytest.mark.parametrize("source", [3, {"input": "a"}, b"t.jsonl", None])
def test_no_source(source: Any) -> None:
    with pytest.raises(TypeError, match="expected a path"):
        read_tasks(source)


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir())) if Path("/dev/fd").exists() else 0


async def test_descriptors_are_closed(write: Write) -> None:
    path = write("t.jsonl", b'"x"\n' * 10_000)
    before = open_descriptors()
    for _ in range(3):
        await collect(path)
        stream = read_tasks(path)
        await anext(stream)
        await stream.aclose()
        dropped = read_tasks(path)
        await anext(dropped)
        del dropped
        # An idle worker thread may hold on to what it ran last.
        await anyio.to_thread.run_sync(int)
    assert open_descriptors() == before


lines = st.lists(
    st.sampled_from(
        [b'"a"', b'{"input":"b"}', b"", b"  ", b'{"input":"c","id":"i"}', b'"\xc3\xa9"']
    ),
    max_size=12,
)


@given(lines=lines, data=st.data(), last=st.booleans())
def test_however_the_bytes_are_cut(lines: list[bytes], data: st.DataObject, last: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if last else b"")
    whole = TaskLines("t")
    wanted = whole.feed(text).tasks + whole.feed(b"").tasks
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cut = TaskLines("t")
    found = [task for piece in pieces if piece for task in cut.feed(piece).tasks]
    assert found + cut.feed(b"").tasks == wanted
    assert len(wanted) == sum(bool(line.strip()) for line in lines)


async def test_a_limit_ends_the_stream() -> None:
    assert [task.id async for task in read_tasks(map(str, range(10)), limit=3)] == ["1", "2", "3"]
    assert [task async for task in read_tasks(["a"], limit=0)] == []
