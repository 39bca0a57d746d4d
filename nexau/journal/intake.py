"""Which rollout comes next in a run that is kept: those left over from before, then new tasks."""

import time
from collections import deque

from msgspec import Raw
from zlib_ng.zlib_ng import crc32

from nexau.definitions.values import DefinitionError, Task
from nexau.journal.directory import RunDirectory
from nexau.journal.keeper import Journal
from nexau.journal.records import Admitted, Cut, Events, encoder
from nexau.journal.recovery import Recovered
from nexau.tasks.assignments import Assignment
from nexau.tasks.stream import TaskStream


def take_up(directory: RunDirectory, journal: Journal, source: TaskStream | None) -> "Intake":
    """What is to be done in a directory. What was under way is on record anew, on the disk, when
    this returns, and the journals of workers that are no more are gone.
    """
    intake = Intake(journal, directory.recovered, source)
    if journal.entries:
        journal.checkpoint()
        directory.forget_workers()
    return intake


AHEAD = 32
"""Tasks that are admitted at once, where they have been read already."""


class Intake:
    """The source of a run's assignments."""

    def __init__(self, journal: Journal, recovered: Recovered, source: TaskStream | None) -> None:
        """`source`: the same tasks from the first, of which those are passed over that were
        admitted before; None where only what was admitted is to be finished.
        """
        self._journal = journal
        self._recovered = recovered
        self._source = source
        self._repeat = recovered.repeat
        self._ready: deque[Assignment] = deque()
        self._lost: set[int] = set()
        """Tasks whose rollouts have not ended and which the journal does not have any more."""
        self._passed = False
        self._take_up()
        # Nothing is known of any of the tasks to come, and each is one rollout.
        self._fresh = self._repeat == 1 and not recovered.ended and not recovered.attempts
        self._ended = source is None or (journal.source_ended and not self._lost)

    def ready(self) -> Assignment | None:
        if self._journal.stalled is not None:
            return None
        if not self._ready and self._passed and not self._ended and self._source is not None:
            self._admit_ready(self._source)
        return self._ready.popleft() if self._ready else None

    async def next(self) -> Assignment | None:
        """None at the end. Raises `DefinitionError` for a source that is not the one before, and
        at the end for tasks that nobody has any more.
        """
        await self._journal.admission()
        while not self._ready:
            if self._source is None or self._ended:
                self._miss()
                return None
            if not self._passed:
                await self._pass_over(self._source)
                continue
            task = self._source.ready() or await anext(self._source, None)
            if task is None:
                self._end()
            else:
                self._admit(task)
        return self._ready.popleft()

    async def aclose(self) -> None:
        if self._source is not None:
            await self._source.aclose()

    def _miss(self) -> None:
        if self._lost:
            raise DefinitionError(
                f"{len(self._lost):,} tasks cannot be had again: the journal that held them is "
                "damaged, and their source is not there"
            )

    def _take_up(self) -> None:
        """What was admitted and has not ended, in order. All that is known of it is put on record
        anew, in one batch: what was written before is not needed any more.
        """
        found, keep = self._recovered, self._journal.keep
        places = found.open_places()
        if found.progress.tasks:
            keep(found.progress)
        before = -1
        for place in places:
            number, repeat = divmod(place, self._repeat)
            task = found.tasks.get(number)
            if task is None:
                self._lost.add(number)
                continue
            if number != before:
                before = number
                keep(Admitted(number, found.progress.chain, Raw(encoder.encode(task))))
            self._ready.append(self._assignment(task, place, repeat))
        found.tasks.clear()

    def _assignment(self, task: Task, place: int, repeat: int) -> Assignment:
        found, keep = self._recovered, self._journal.keep
        self._journal.began((place,))
        left = found.unfinished.pop(place, None)
        attempt = found.attempts.pop(place, 0)
        if left is None or left.attempt != attempt:
            return Assignment(task, repeat, place, attempt)
        for reason in (*left.restarts, ""):
            keep(Cut(place, attempt, 0, time.time(), reason))
        keep(Events(place, attempt, 0, [*left.events]))
        return Assignment(task, repeat, place, attempt, tuple(left.events), tuple(left.restarts))

    async def _pass_over(self, source: TaskStream) -> None:
        """Reads the tasks that were admitted before; takes those out that were lost."""
        chain = 0
        progress = self._journal.progress
        again: list[tuple[int, Task]] = []
        for number in range(progress.tasks):
            task = source.ready() or await anext(source, None)
            if task is None:
                raise DefinitionError(
                    f"the tasks are not those of the run: it has admitted {progress.tasks:,}, and "
                    f"here are {number:,}"
                )
            chain = crc32(encoder.encode(task), chain)
            if number in self._lost:
                again.append((number, task))
        if chain != progress.chain:
            raise DefinitionError(
                f"the tasks are not those of the run: the first {progress.tasks:,} have changed"
            )
        self._passed = True
        for number, task in again:
            self._lost.discard(number)
            self._keep(number, progress.chain, task)

    def _admit_ready(self, source: TaskStream) -> None:
        # Several at once: each then costs a third of what it costs between two rollouts.
        tasks = source.ready_ones(AHEAD)
        if self._fresh:
            self._admit_fresh(tasks)
        else:
            for task in tasks:
                self._admit(task)

    def _admit_fresh(self, tasks: list[Task]) -> None:
        """As `_admit` of each, where a task is one rollout that nothing is known of."""
        journal, ready = self._journal, self._ready
        first, chain = journal.tasks, journal.chain
        records: list[object] = []
        for number, task in enumerate(tasks, first):
            encoded = encoder.encode(task)
            chain = crc32(encoded, chain)
            records.append(("task", number, chain, Raw(encoded)))
            ready.append(Assignment(task, 0, number))
        journal.tasks, journal.chain = first + len(tasks), chain
        journal.keep(*records)
        journal.began(range(first, journal.tasks))

    def _admit(self, task: Task) -> None:
        journal = self._journal
        number, journal.tasks = journal.tasks, journal.tasks + 1
        chain = journal.chain = crc32(encoder.encode(task), journal.chain)
        self._keep(number, chain, task)

    def _keep(self, number: int, chain: int, task: Task) -> None:
        first = number * self._repeat
        ended = self._recovered.ended
        places = [place for place in range(first, first + self._repeat) if place not in ended]
        if places:
            # `Admitted`, as the tuple that it is encoded as.
            self._journal.keep(("task", number, chain, task))
        for place in places:
            self._ready.append(self._assignment(task, place, place - first))

    def _end(self) -> None:
        self._ended = True
        self._journal.source_ended = True
        self._journal.keep(self._journal.progress)
