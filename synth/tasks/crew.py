"""Numbers made into tasks in their order, by this process or by several."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio
import msgspec
from anyio.abc import ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from nexau.definitions.values import DefinitionError
from nexau.synth.tasks.generate import Made
from nexau.synth.tasks.worker import FAULT
from nexau.synth.tasks.workshop import Work, Workshop, decoded, open_workshop

CHUNK = 8
"""Numbers of one range."""
AHEAD = 2
"""Ranges that a worker is given in advance."""
LONGEST = 1 << 31
CLOSE_SECONDS = 10.0
"""For a worker to give its servers back, before it is killed."""


class Maker(Protocol):
    async def make(self, first: int, end: int) -> list[Made]: ...


class CrewError(OSError):
    """A worker ended before its work."""


@asynccontextmanager
async def crew(
    work: Work, first: int, workers: int, hand: Callable[[Workshop], Maker] | None = None
) -> AsyncIterator[AsyncIterator[list[Made]]]:
    """Ranges from `first` on, without end; the same for any number of workers. With `hand`, what
    it makes of the workshop of this process, the only worker then, makes them.

    Raises `DefinitionError`, `ToolsUnavailable`, ValueError, and `CrewError`.
    """
    if workers == 1:
        async with open_workshop(work) as workshop:
            maker: Maker = workshop if hand is None else hand(workshop)

            async def alone() -> AsyncGenerator[list[Made], None]:
                start = first
                while True:
                    yield await maker.make(start, start + CHUNK)
                    start += CHUNK

            yield alone()
        return
    processes: list[Process] = []
    try:
        for _ in range(workers):
            command = [sys.executable, "-m", "nexau.synth.tasks.worker"]
            processes.append(await anyio.open_process(command, stderr=None))
        yield _shared(processes, work, first)
    finally:
        with anyio.CancelScope(shield=True):
            await _dismiss(processes)


async def _dismiss(processes: list[Process]) -> None:
    """Their input ends, and they with it."""
    for process in processes:
        assert process.stdin is not None
        await process.stdin.aclose()
    with anyio.move_on_after(CLOSE_SECONDS):
        for process in processes:
            await _drained(process)
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def _drained(process: Process) -> None:
    """A worker that writes waits for its reader."""
    assert process.stdout is not None
    async for _ in process.stdout:
        pass
    await process.wait()


async def _shared(
    processes: list[Process], work: Work, first: int
) -> AsyncGenerator[list[Made], None]:
    readers = [BufferedByteReceiveStream(each.stdout) for each in processes if each.stdout]
    writers = [each.stdin for each in processes if each.stdin]
    for writer in writers:
        await _tell(writer, msgspec.json.encode(work))
    given, taken = 0, 0
    for _ in range(AHEAD * len(writers)):
        given = await _assign(writers, given, first)
    while True:
        at = taken % len(readers)
        made = await _range(readers[at], processes[at])
        taken += 1
        given = await _assign(writers, given, first)
        yield made


async def _assign(writers: list[ByteSendStream], given: int, first: int) -> int:
    start = first + given * CHUNK
    await _tell(writers[given % len(writers)], b"%d %d" % (start, start + CHUNK))
    return given + 1


async def _range(reader: BufferedByteReceiveStream, process: Process) -> list[Made]:
    try:
        size = int.from_bytes(await reader.receive_exactly(8), "big")
        data = await reader.receive_exactly(size & ~FAULT)
    except (anyio.IncompleteRead, anyio.EndOfStream):
        raise CrewError(f"a worker ended with exit code {await process.wait()}") from None
    if size & FAULT:
        raise DefinitionError(data.decode())
    return decoded(data)


async def _tell(writer: ByteSendStream, line: bytes) -> None:
    # Of a worker that is gone, what it said, or how it ended, is read next.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await writer.send(line + b"\n")
