"""Group commit: what rollouts leave behind gathers, and one task writes it every few milliseconds.

A trajectory is handed on to stdout and to the other sinks only once it is written, so nothing is
out there that the run directory does not know. A full disk stops the run until there is room: what
waits is kept, what is half-written is taken back.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from msgspec import structs

from nexau.journal.counts import Counts
from nexau.journal.durability import Durability
from nexau.journal.files import FULL, Files, NotWritten
from nexau.journal.records import Attempt, Progress, encoder, lines_of
from nexau.journal.segments import (
    Batch,
    Block,
    Finished,
    JournalFiles,
    TrajectoryFiles,
    finished,
    make_batch,
)
from nexau.journal.unwritten import Unwritten
from nexau.secrets.redaction import SECRETS
from nexau.trajectory import Trajectory
from nexau.transports.log import get_logger
from nexau.transports.scoping import transparent

log = get_logger("nexau.journal")

LIMIT = 2 << 20
"""Bytes of trajectories that were sealed and not yet handed on; from then on slots wait."""
HELD = 0.05
"""Seconds that a write may hold the event loop before a thread takes over..."""
WARY = 64
"""... for so many writes: on a busy machine it may have been the processor that was not there."""
AGAIN = 1.0
"""Seconds between attempts to write to a full disk."""


Deliver = Callable[[Block], Awaitable[None]]


class Journal:
    """What a run writes to its directory. `run` has to run, in one task, while it is in use."""

    # Slots, because looking up one of more than 30 attributes would take twice as long.
    __slots__ = (
        "_begun",
        "_changed",
        "_closing",
        "_counts",
        "_ended",
        "_files",
        "_flush",
        "_given_up",
        "_handed",
        "_held",
        "_idle",
        "_journal",
        "_limiter",
        "_over",
        "_sealed",
        "_stopping",
        "_sync",
        "_synced_at",
        "_trajectories",
        "_unwritten",
        "_waiting_bytes",
        "_wake",
        "_written",
        "began",
        "chain",
        "entries",
        "ready",
        "source_ended",
        "stalled",
        "tasks",
    )

    def __init__(
        self,
        files: Files,
        journal: JournalFiles,
        trajectories: TrajectoryFiles,
        progress: Progress,
        durability: Durability,
    ) -> None:
        self.tasks, self.chain, self.source_ended = progress.tasks, progress.chain, progress.ended
        """How far the source of tasks was read, as `Progress` tells."""
        self.entries: list[Any] = []
        self._unwritten = Unwritten(durability.flush)
        self.stalled: OSError | None = None
        """Why nothing can be written at the moment."""
        self.ready = durability.flush > 0
        """As `nexau.scope.Durable`: until the disk is full, and never with `flush` 0."""
        self.began = journal.began
        """Rollouts are under way: what is on record of them is needed until they have ended."""
        self._files = files
        self._journal = journal
        self._trajectories = trajectories
        self._flush = durability.flush
        self._sync = durability.sync
        self._sealed: list[Finished] = []
        self._written: deque[Block] = deque()
        self._waiting_bytes = 0
        self._wake = anyio.Event()
        self._changed: anyio.Event | None = None
        """Made where somebody waits: to make one for each trajectory costs 3 us."""
        self._handed = anyio.Event()
        self._begun = self._ended = 0
        """Batches."""
        self._counts = Counts()
        self._held = 0
        """Writes that are yet to be given to a thread."""
        self._synced_at = 0.0
        self._limiter = anyio.CapacityLimiter(1)
        self._closing = False
        self._stopping = False
        self._given_up = False
        self._idle = True
        self._over = False

    # What rollouts call.

    @property
    def progress(self) -> Progress:
        return Progress(self.tasks, self.chain, self.source_ended)

    def keep(self, *records: Any) -> None:
        """Takes records of `nexau.journal.records`, or the tuples that they are encoded as."""
        self.entries += records
        if self._flush == 0:
            self._wake.set()

    def unwritten(self, place: int, attempt: Attempt) -> None:
        """`attempt` has events that are to be written; told again after each `take`."""
        self._unwritten.add(place, attempt)
        if self._flush == 0:
            self._wake.set()

    async def settle(self) -> None:
        """As `nexau.scope.Durable`."""
        if self._flush == 0:
            await self._written_up_to_here()
        await self.admission()

    @property
    def crowded(self) -> bool:
        """Whether `room` is to be awaited before the next `seal`."""
        return self._waiting_bytes >= LIMIT

    async def room(self) -> None:
        """Waits while too many trajectories have not been handed on."""
        while self._waiting_bytes >= LIMIT and not self._given_up:
            await self._change()

    def seal(self, place: int, trajectory: Trajectory, *, whole: bool) -> None:
        """Takes a trajectory. `whole`: whoever it is handed on to wants more than its line."""
        if self._given_up:
            return
        line = SECRETS.line(encoder.encode(trajectory))
        self._unwritten.forget(place)
        self._sealed.append(finished(place, trajectory, line, whole=whole))
        self._waiting_bytes += len(line) + 1
        if not self._flush or self._waiting_bytes >= LIMIT // 2:
            self._wake.set()

    async def admission(self) -> None:
        """Waits while the disk is full."""
        while self.stalled is not None and not self._given_up:
            await self._change()

    def give_up(self) -> None:
        """The run is being stopped: nothing waits for a full disk any more, nor for one that is
        found to be full from now on.
        """
        self._stopping = True
        if self.stalled is not None:
            self._given_up = True
            self._notify()
            self._wake.set()

    def statistics(self) -> dict[str, Any]:
        return structs.asdict(self._counts) | {
            "batches": self._ended,
            "waiting": len(self.entries) + len(self._unwritten),
            "waiting_bytes": self._waiting_bytes,
            "stalled": str(self.stalled) if self.stalled is not None else None,
        }

    # What the run calls.

    async def run(self, deliver: Deliver) -> None:
        """Until `finish`. Raises `NotWritten` where the disk fails, or is full when the run is
        stopped.
        """
        self._synced_at = anyio.current_time()
        async with transparent(anyio.create_task_group()) as group:
            group.start_soon(self._hand_on, deliver)
            try:
                while not (self._closing and not self._anything):
                    await self._pause()
                    await self._commit()
                await self._synced()
            finally:
                self._over = True
                self._handed.set()

    def finish(self) -> None:
        """No more will come: `run` ends when all is written and handed on."""
        self._closing = True
        self._wake.set()

    def checkpoint(self) -> None:
        """Writes what was kept, at once and down to the disk; before `run`. Raises OSError."""
        batch = self._make(self._unwritten.all())
        batch.write()
        self._sync_files()
        self._counts.records += batch.entries
        self._ended += 1

    def close(self) -> None:
        """Writes what a cancelled `run` has left, if that can be done at once; closes the files."""
        try:
            if self._idle and self.stalled is None:
                self._make(self._unwritten.all()).write()
        except OSError as error:
            log.warning("the last records are not written", reason=str(error))
        finally:
            self._journal.close()
            self._trajectories.close()

    # The writer.

    @property
    def _anything(self) -> bool:
        """Whether something is to be written."""
        return bool(self.entries or self._unwritten or self._sealed)

    async def _pause(self) -> None:
        if self._flush == 0:
            await self._wake.wait()
        elif not self._wake.is_set():
            with anyio.CancelScope(deadline=self._unwritten.due_at):
                await self._wake.wait()
        if self._wake.is_set():
            self._wake = anyio.Event()
            if self._closing:
                self._wake.set()

    async def _commit(self) -> None:
        everything = self._flush == 0 or self._closing
        due = self._unwritten.all() if everything else self._unwritten.due(anyio.current_time())
        if not (due or self.entries or self._sealed):
            await anyio.lowlevel.checkpoint()
            return await self._sync_if_due()
        self._idle = False
        await self._rotate_if_due()
        batch = self._make(due)
        while not await self._try(partial(self._write, batch)):
            pass
        if self._sync == 0:
            await self._synced()
        else:
            await self._sync_if_due()
        self._counts.records += batch.entries
        self._ended += 1
        self._idle = True
        self._journal.ended(batch.ended)
        self._written += batch.blocks
        self._handed.set()
        self._notify()
        return None

    def _make(self, due: dict[int, Attempt]) -> Batch:
        self._begun += 1
        entries, self.entries = self.entries, []
        # Behind the others: a `Cut` comes before what an attempt has done since.
        entries += [attempt.take() for attempt in due.values()]
        self.began(due)
        done, self._sealed = self._sealed, []
        lines, count = lines_of(entries)
        self._counts.not_encoded += len(entries) - count
        return make_batch(lines, count, done, self._journal, self._trajectories)

    async def _write(self, batch: Batch) -> None:
        self._counts.bytes += sum(len(data) for _, data in batch.pieces)
        if self._held:
            self._held -= 1
            await self._in_thread(batch.write)
            return
        began = time.perf_counter()
        batch.write()
        if self._files.threaded and time.perf_counter() - began > HELD:
            self._held = WARY

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it was done; False after a wait for a full disk."""
        try:
            await work()
        except OSError as error:
            if error.errno not in FULL or self._given_up or self._stopping:
                self._given_up = True
                self._notify()
                raise NotWritten(error.errno, error.strerror) from error
            if self.stalled is None:
                self._counts.stalls += 1
                log.error(
                    "the disk is full: no new rollouts until there is room", reason=str(error)
                )
            self.stalled = error
            self.ready = False
            with anyio.move_on_after(AGAIN):
                await self._wake_of_giving_up()
            return False
        if self.stalled is not None:
            log.error("there is room on the disk again: the run goes on")
            self.stalled = None
            self.ready = self._flush > 0
            self._notify()
        return True

    async def _wake_of_giving_up(self) -> None:
        while not self._given_up:
            await self._change()

    async def _rotate_if_due(self) -> None:
        if self._journal.due():
            while not await self._try(self._rotate):
                pass
        self._trajectories.rotate_if_due()

    async def _rotate(self) -> None:
        await self._in_thread(self._trajectories.sync)
        self._journal.rotate(self.progress)

    async def _sync_if_due(self) -> None:
        if self._sync is None or anyio.current_time() < self._synced_at + self._sync:
            return
        await self._synced()

    async def _synced(self) -> None:
        if self._sync is None:
            return
        self._synced_at = anyio.current_time()
        if self._journal.file.dirty or self._trajectories.data.dirty:
            self._counts.syncs += 1
            await self._in_thread(self._sync_files)

    def _sync_files(self) -> None:
        if self._journal.file.dirty:
            self._journal.file.sync()
        self._trajectories.sync()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        if self._files.threaded:
            await anyio.to_thread.run_sync(work, limiter=self._limiter)
        else:
            await anyio.lowlevel.checkpoint()
            work()

    async def _hand_on(self, deliver: Deliver) -> None:
        while True:
            while self._written:
                block = self._written.popleft()
                await deliver(block)
                self._waiting_bytes -= len(block.data)
                self._notify()
            if self._over:
                return
            self._handed = anyio.Event()
            await self._handed.wait()

    async def _written_up_to_here(self) -> None:
        """Until the batch is written that has, or will have, all that was kept so far."""
        target = self._begun + 1 if self._anything else self._begun
        while self._ended < target and not self._given_up:
            await self._change()

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
