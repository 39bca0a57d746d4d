"""Candidates in their order, made by one process or by several."""

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from nexau.synth.agents.drafts import Draft
from nexau.synth.agents.worker import Assignment, drafts_of, finisher_of

CHUNK = 16
"""Candidates of one range."""
AHEAD = 2
"""Ranges that a worker is given in advance."""


class CrewError(OSError):
    """A worker ended before its work."""


@contextmanager
def crew(work: Assignment, first: int, workers: int) -> Iterator[Iterator[list[Draft]]]:
    """Ranges of drafts from `first` on, without end; the same for any number of workers."""
    if workers == 1:
        _, finisher = finisher_of(work)

        def alone() -> Iterator[list[Draft]]:
            start = first
            while True:
                yield drafts_of(finisher, start, start + CHUNK)
                start += CHUNK

        yield alone()
        return
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "nexau.synth.agents.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(workers)
    ]
    try:
        yield _shared(processes, work, first)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def _shared(
    processes: list["subprocess.Popen[bytes]"], work: Assignment, first: int
) -> Iterator[list[Draft]]:
    decode = msgspec.msgpack.Decoder(list[Draft]).decode
    for process in processes:
        _tell(process, msgspec.json.encode(work))
    waiting: deque[subprocess.Popen[bytes]] = deque()
    start = first
    for _ in range(AHEAD):
        for process in processes:
            start = _assign(process, start, waiting)
    while True:
        process = waiting.popleft()
        assert process.stdout is not None
        size = process.stdout.read(8)
        data = process.stdout.read(int.from_bytes(size, "big"))
        if len(size) < 8:
            raise CrewError(f"a worker ended with exit code {process.wait()}")
        start = _assign(process, start, waiting)
        yield decode(data)


def _assign(
    process: "subprocess.Popen[bytes]", start: int, waiting: "deque[subprocess.Popen[bytes]]"
) -> int:
    _tell(process, b"%d %d" % (start, start + CHUNK))
    waiting.append(process)
    return start + CHUNK


def _tell(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()
