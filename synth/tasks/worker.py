"""`python -m nexau.synth.tasks.worker`: makes tasks by number, for `nexau.synth.tasks.crew`.

Reads one line of JSON, the work, then a line with two numbers for each range; writes, for each,
what became of the numbers as MessagePack after eight bytes of length. What is wrong with the work
is an answer too: a text. It ends with its input, and its servers with it.
"""

import signal
import sys
from functools import partial

import anyio
import anyio.to_thread
import msgspec

from nexau.definitions.values import DefinitionError
from nexau.logs import configure
from nexau.servers import ToolsUnavailable
from nexau.synth.tasks.workshop import Work, Workshop, encoded, open_workshop

FAULT = 1 << 63
"""Added to the length of a text that says what is wrong."""


async def main() -> None:
    # Ctrl-C reaches the whole group; the parent decides, and closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure()
    work = msgspec.json.decode(sys.stdin.buffer.readline(), type=Work)
    try:
        async with open_workshop(work) as workshop:
            await _serve(workshop)
    except (DefinitionError, ToolsUnavailable, ValueError) as error:
        data = str(error).encode()
        await _write((FAULT + len(data)).to_bytes(8, "big") + data)


async def _serve(workshop: Workshop) -> None:
    give, take = anyio.create_memory_object_stream[tuple[int, int]](1_000)
    async with anyio.create_task_group() as tasks, give, take:

        async def work() -> None:
            async for first, end in take:
                data = encoded(await workshop.make(first, end))
                await _write(len(data).to_bytes(8, "big") + data)

        tasks.start_soon(work)
        while line := await anyio.to_thread.run_sync(
            sys.stdin.buffer.readline, abandon_on_cancel=True
        ):
            first, end = map(int, line.split())
            await give.send((first, end))
        tasks.cancel_scope.cancel()


async def _write(data: bytes) -> None:
    try:
        await anyio.to_thread.run_sync(partial(_flush, data))
    except BrokenPipeError:
        sys.exit(0)


def _flush(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    anyio.run(main)
