"""Whole lines, in order, at the reader's pace; and what is left when the reader goes away."""

import errno
import fcntl
import os
import pty
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given, settings, strategies as st

from nexau.transports import output as output_module
from nexau.transports.lines import LinesNotWritten, LineWriter, open_lines
from nexau.transports.output import write_all

pytestmark = pytest.mark.anyio

BIG = b"x" * 300_000
"""More than a pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "wb", buffering=0) as writer:  # noqa: PTH123
        yield reader, writer


async def waiting(writer: LineWriter, count: int) -> None:
    """Until `count` writers wait for room."""
    while writer.statistics().waiting < count:
        await anyio.lowlevel.checkpoint()


def numbered(count: int, size: int = 0) -> list[bytes]:
    return [b"%d:%s" % (number, b"y" * size) for number in range(count)]


async def test_lines_come_out_whole_and_in_order(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    sent = numbered(2_000, 200)
    received: list[bytes] = []
    statistics = None
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            received.extend(await anyio.to_thread.run_sync(reader.readlines))

        tasks.start_soon(read)
        async with open_lines(output.fileno(), limit=10_000) as writer:
            for line in sent:
                await writer.write(line)
            await writer.aclose()
            statistics = writer.statistics()
        output.close()
    assert received == [line + b"\n" for line in sent]
    assert statistics is not None
    assert (statistics.lines, statistics.buffered, statistics.waiting) == (2_000, 0, 0)
    assert statistics.bytes == sum(map(len, received))


async def test_a_slow_reader_slows_writers_down(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    accepted = 0
    descriptor = output.fileno()
    async with (
        open_lines(descriptor, limit=1_000, linger=0) as writer,
        anyio.create_task_group() as tasks,
    ):

        async def write() -> None:
            nonlocal accepted
            for line in numbered(200, 1_000):
                await writer.write(line)
                accepted += 1

        tasks.start_soon(write)
        await waiting(writer, 1)
        assert accepted < 200
        assert writer.statistics().buffered < 1_000 + 1_100
        total = 0
        while total < 200:
            await anyio.to_thread.run_sync(reader.readline)
            total += 1
    assert accepted == 200


async def test_waiting_writers_keep_their_turn(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    received: list[bytes] = []
    async with open_lines(output.fileno(), limit=1) as writer, anyio.create_task_group() as tasks:
        await writer.write(BIG)
        for number, line in enumerate(numbered(50), start=1):
            tasks.start_soon(writer.write, line)
            await waiting(writer, number)
        with pytest.raises(anyio.WouldBlock):
            writer.write_nowait(b"pushes in")
        for _ in range(51):
            received.append(await anyio.to_thread.run_sync(reader.readline))  # noqa: PERF401
    assert received == [line + b"\n" for line in [BIG, *numbered(50)]]


async def test_a_cancelled_writer_leaves_the_queue(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    async with open_lines(output.fileno(), limit=1) as writer:
        await writer.write(BIG)
        with anyio.move_on_after(0.01):
            await writer.write(b"given up")
        assert writer.statistics().waiting == 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, reader.readline)
            await writer.write(b"next")
        assert await anyio.to_thread.run_sync(reader.readline) == b"next\n"


async def test_a_closed_pipe_is_told_at_once(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    async with open_lines(output.fileno()) as writer:
        await writer.write(b"read")
        assert await anyio.to_thread.run_sync(reader.readline) == b"read\n"
        reader.close()
        await writer.wait_broken()
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                await writer.write(b"too late")


async def test_a_closed_pipe_wakes_waiting_writers(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    failed = 0
    async with open_lines(output.fileno(), limit=1) as writer:
        await writer.write(BIG)
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                nonlocal failed
                try:
                    await writer.write(b"waits")
                except BrokenPipeError:
                    failed += 1

            for _ in range(3):
                tasks.start_soon(write)
            await waiting(writer, 3)
            reader.close()
    assert failed == 3


async def test_closing_tells_what_no_write_has_told(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    with pytest.raises(BrokenPipeError):
        async with open_lines(output.fileno()) as writer:
            await writer.write(BIG)
            reader.close()


async def test_nothing_lost_is_no_error(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    async with open_lines(output.fileno()) as writer:
        await writer.write(b"read")
        await anyio.to_thread.run_sync(reader.readline)
        reader.close()
        await writer.wait_broken()


@pytest.fixture
def full_disk() -> Iterator[int]:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("no /dev/full here")
    with path.open("wb", buffering=0) as output:
        yield output.fileno()


async def test_a_full_disk_is_told(full_disk: int) -> None:
    async with open_lines(full_disk) as writer:
        await writer.write(b"{}")
        await writer.wait_broken()
        with pytest.raises(OSError) as raised:
            await writer.write(b"{}")
    assert raised.value.errno == errno.ENOSPC


@pytest.mark.parametrize("mode", ["wb", "ab"])
async def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, mode: str) -> None:
    path, line = tmp_path / "lines", b"x" * 99
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open(mode) as output:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_050, hard))
        try:
            with pytest.raises(LinesNotWritten, match="File too large: 'the file'") as raised:
                async with open_lines(output.fileno(), name="the file") as writer:
                    await writer.write_block((line + b"\n") * 990, 990)
                    await writer.write(line)
                    await writer.write_block((line + b"\n") * 19, 19)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert raised.value.errno == errno.EFBIG
        assert raised.value.whole == 1000
        output.write(b"next")
    assert path.read_bytes() == (line + b"\n") * 1000 + b"next"


async def test_a_closed_descriptor_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError) as raised:
        async with open_lines(writing):
            pytest.fail("opened")
    assert raised.value.errno == errno.EBADF


async def test_writing_after_closing_is_refused(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    async with open_lines(pipe[1].fileno()) as writer:
        pass
    with pytest.raises(anyio.ClosedResourceError):
        await writer.write(b"late")


async def test_what_was_accepted_before_a_cancellation_is_written(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as output, anyio.CancelScope() as scope:
        async with open_lines(output.fileno()) as writer:
            for line in numbered(1_000):
                await writer.write(line)
            scope.cancel()
            await anyio.sleep_forever()
    assert path.read_bytes().splitlines() == numbered(1_000)


async def test_a_reader_that_does_not_read_cannot_hold_up_a_cancelled_exit(
    pipe: tuple[IO[bytes], IO[bytes]],
) -> None:
    writer = None
    with anyio.CancelScope() as scope:
        async with open_lines(pipe[1].fileno(), grace=0.05) as writer:
            await writer.write(BIG)
            scope.cancel()
            await anyio.sleep_forever()
    assert writer is not None
    assert writer.statistics().buffered > 0


async def test_an_error_of_the_body_leaves_as_it_is(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_lines(pipe[1].fileno()) as writer:
            await writer.write(b"kept")
            raise LookupError("mine")
    assert pipe[0].readline() == b"kept\n"


async def test_the_descriptor_keeps_its_mode(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    before = fcntl.fcntl(pipe[1], fcntl.F_GETFL)
    async with open_lines(pipe[1].fileno()) as writer:
        await writer.write(BIG)
        await anyio.wait_all_tasks_blocked()
        assert fcntl.fcntl(pipe[1], fcntl.F_GETFL) == before
        assert await anyio.to_thread.run_sync(pipe[0].readline) == BIG + b"\n"
    assert fcntl.fcntl(pipe[1], fcntl.F_GETFL) == before


async def test_a_pipe_that_somebody_made_non_blocking(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, output = pipe
    os.set_blocking(output.fileno(), False)
    async with open_lines(output.fileno()) as writer:
        await writer.write(BIG)
        assert await anyio.to_thread.run_sync(reader.readline) == BIG + b"\n"


async def test_a_socket() -> None:
    here, there = socket.socketpair()
    with here, there, there.makefile("rb") as reader:
        async with open_lines(here.fileno()) as writer:
            await writer.write(BIG)
            assert await anyio.to_thread.run_sync(reader.readline) == BIG + b"\n"


async def test_a_stuck_socket_cannot_hold_up_a_cancelled_exit() -> None:
    here, there = socket.socketpair()
    writer = None
    with here, there:
        with anyio.CancelScope() as scope:
            async with open_lines(here.fileno(), grace=0.05) as writer:
                await writer.write(BIG * 10)
                scope.cancel()
                await anyio.sleep_forever()
        assert writer is not None
        assert writer.statistics().buffered > 0


async def test_a_terminal() -> None:
    screen, terminal = pty.openpty()
    try:
        async with open_lines(terminal) as writer:
            await writer.write(b"{}")
            assert await anyio.to_thread.run_sync(os.read, screen, 100) == b"{}\r\n"
    finally:
        os.close(screen)
        os.close(terminal)


async def test_a_file_that_holds_the_loop_goes_to_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines"
    threads: set[int] = set()
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        threads.add(threading.get_ident())
        return write(fd, data)

    monkeypatch.setattr(output_module, "HELD", -1.0)
    monkeypatch.setattr(os, "write", slow)
    with path.open("wb") as output:
        async with open_lines(output.fileno(), limit=1) as writer:
            for line in numbered(10):
                await writer.write(line)
    assert path.read_bytes().splitlines() == numbered(10)
    assert len(threads) == 2


LINE = st.binary(max_size=9_000).map(lambda line: line.replace(b"\n", b" "))


@settings(max_examples=40, deadline=None)
@given(st.lists(LINE | st.lists(LINE, max_size=4), max_size=40), st.sampled_from([5_000, 1 << 20]))
def test_any_lines_and_blocks_come_out_as_they_went_in(
    sent: list[bytes | list[bytes]], limit: int
) -> None:
    lines = [line for each in sent for line in (each if isinstance(each, list) else [each])]
    reading, writing = os.pipe()
    received: list[bytes] = []

    def read() -> None:
        with open(reading, "rb") as reader:  # noqa: PTH123
            received.extend(reader.readlines())

    async def write() -> None:
        async with open_lines(writing, limit=limit, linger=0) as writer:
            for each in sent:
                if isinstance(each, list):
                    await writer.write_block(b"".join(line + b"\n" for line in each), len(each))
                else:
                    await writer.write(each)
            assert writer.statistics().lines == len(lines)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        anyio.run(write)
    finally:
        os.close(writing)
        thread.join()
    assert received == [line + b"\n" for line in lines]


STUCK = """
import os, anyio
from nexau.transports.lines import LineWriter, open_lines

async def main():
    with anyio.CancelScope() as scope:
        async with open_lines(1, grace=0.05) as writer:
            await writer.write(b"x" * 1_000_000)
            scope.cancel()
            await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_process_exits_though_its_reader_is_stuck(kind: str) -> None:
    if kind == "pipe":
        ends = os.pipe()
    else:
        pair = socket.socketpair()
        ends = (pair[0].detach(), pair[1].detach())
    try:
        done = subprocess.run(
            [sys.executable, "-c", STUCK], stdout=ends[1], timeout=30, check=False
        )
        assert done.returncode == 0
    finally:
        os.close(ends[0])
        os.close(ends[1])


def test_write_all_waits_where_the_descriptor_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received: list[bytes] = []

    def read() -> None:
        with open(reading, "rb") as reader:  # noqa: PTH123
            received.append(reader.read())

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writing, BIG)
    os.close(writing)
    thread.join()
    assert received == [BIG]
