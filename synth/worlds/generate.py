"""Runs: candidates are made, tried and written, one after the other, until there are enough.

    run.json              what the run was asked for
    worlds/NAME.yaml      the accepted worlds
    index.jsonl           one line for each, in order (`Record`)
    lineage.jsonl         where each comes from
    rejected/NAME.yaml    what was refused; rejected/reasons.jsonl says why

A world counts from the moment its line stands whole in the index. Its file is written before the
line, so a run that was killed goes on after the last whole line and writes the same bytes.
"""

import multiprocessing
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.synth.folders import append_line, begin_run, read_lines, replace_file
from nexau.synth.lineage import Lineage
from nexau.synth.worlds.drafts import Draft, Record, Request, draft, drafts_of

SCHEMA = "nexau-worlds/1"
CHUNK = 8
"""Candidates that a worker makes at a time."""
AHEAD = 2
"""Chunks that each worker is given in advance."""
FRUITLESS = 300
"""Refused candidates in a row after which a run gives up."""


class RunFile(Struct, frozen=True):
    """What decides every byte of a run. The number of worlds does not: more can be added."""

    schema: str
    specification: str
    seed: int
    writer: str
    """grammar, or the model as it was configured."""


class Rejected(Struct, frozen=True):
    """A line of `rejected/reasons.jsonl`."""

    index: int
    file: str | None
    reasons: tuple[str, ...]


class Source(Protocol):
    """Candidates in the order of their numbers."""

    def drafts(self, first: int) -> AsyncGenerator[Draft, None]: ...


class Store:
    """One folder, opened by one process."""

    def __init__(self, folder: Path, run: RunFile) -> None:
        """Begins a run, or goes on with one that was asked for the same.

        Raises `DefinitionError` for a folder that holds something else.
        """
        self.folder = folder
        begin_run(folder, run, ("worlds", "rejected"))
        self.accepted = read_lines(folder / "index.jsonl", Record)
        self.rejected = read_lines(folder / "rejected" / "reasons.jsonl", Rejected)
        # Written anew: the process may have ended between a world's two lines.
        lines = [msgspec.json.encode(_lineage(record)) + b"\n" for record in self.accepted]
        replace_file(folder / "lineage.jsonl", b"".join(lines))

    @property
    def next_index(self) -> int:
        done = [each.index for each in self.accepted] + [each.index for each in self.rejected]
        return max(done, default=-1) + 1

    def accept(self, made: Draft, record: Record) -> None:
        replace_file(self.folder / record.file, made.yaml)
        append_line(self.folder / "index.jsonl", msgspec.json.encode(record))
        append_line(self.folder / "lineage.jsonl", msgspec.json.encode(_lineage(record)))
        self.accepted.append(record)

    def reject(self, made: Draft, reasons: tuple[str, ...]) -> None:
        file = f"rejected/{made.index:05}.yaml" if made.yaml else None
        if file is not None:
            replace_file(self.folder / file, made.yaml)
        rejected = Rejected(made.index, file, reasons)
        append_line(self.folder / "rejected" / "reasons.jsonl", msgspec.json.encode(rejected))
        self.rejected.append(rejected)


def _lineage(record: Record) -> Lineage:
    made = {"by": "nexau synth worlds", "seed": record.seed, "writer": record.writer}
    return Lineage(record.id, "world", record.parents, made, record.name)


async def generate(store: Store, n: int, source: Source) -> AsyncGenerator[Record, None]:
    """Accepted worlds, those first that the folder already holds.

    Raises `DefinitionError` where too many candidates in a row are refused.
    """
    for earlier in store.accepted[:n]:
        yield earlier
    known = {record.structure: record.name for record in store.accepted}
    fruitless = 0
    if len(store.accepted) >= n:
        return
    async with aclosing(source.drafts(store.next_index)) as drafts:
        async for made in drafts:
            reasons, record = made.reasons, made.record
            if record is not None and not reasons and record.structure in known:
                reasons = (f"it is built as {known[record.structure]} is",)
            if record is None or reasons:
                store.reject(made, reasons)
                fruitless += 1
                if fruitless >= FRUITLESS:
                    raise DefinitionError(
                        f"{FRUITLESS} candidates in a row were refused, the last because:"
                        f" {reasons[0]}"
                    )
                continue
            fruitless = 0
            known[record.structure] = record.name
            store.accept(made, record)
            yield record
            if len(store.accepted) >= n:
                return


class BuiltIn:
    """Candidates by the grammar, from `workers` processes: the same for any number of them."""

    def __init__(self, request: Request, workers: int) -> None:
        self._request = request
        self._workers = workers

    async def drafts(self, first: int) -> AsyncGenerator[Draft, None]:
        with _chunks(self._request, first, self._workers) as chunks:
            while True:
                for made in await anyio.to_thread.run_sync(partial(next, chunks)):
                    yield made


@contextmanager
def _chunks(request: Request, first: int, workers: int) -> Iterator[Iterator[list[Draft]]]:
    if workers == 1:
        yield _alone(request, first)
        return
    pool: Any = multiprocessing.get_context("spawn").Pool(workers)
    try:
        yield _shared(pool, request, first, workers * AHEAD)
    finally:
        pool.terminate()
        pool.join()


def _alone(request: Request, first: int) -> Iterator[list[Draft]]:
    index = first
    while True:
        yield [draft(request, index)]
        index += 1


def _shared(pool: Any, request: Request, first: int, ahead: int) -> Iterator[list[Draft]]:
    decode = msgspec.msgpack.Decoder(list[Draft]).decode
    waiting: deque[AsyncResult[bytes]] = deque()
    start = first
    while True:
        while len(waiting) < ahead:
            waiting.append(pool.apply_async(drafts_of, (request, start, start + CHUNK)))
            start += CHUNK
        yield decode(waiting.popleft().get())
