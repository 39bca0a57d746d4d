"""What of an attempt is written when, and that it is read back as it was."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st
from trio.testing import MockClock

from nexau.journal.durability import Durability
from nexau.journal.keeper import Journal
from nexau.journal.reading import read_journal
from nexau.journal.recording import JournalRecorder
from nexau.journal.records import Events, Progress, lines_of, seal_batch
from nexau.journal.recovery import recover
from nexau.journal.segments import JOURNAL, Block, JournalFiles, TrajectoryFiles, segment_path
from nexau.journal.testing import MemoryFiles
from nexau.models.base import ToolCall, Turn, UserMessage
from nexau.recorder import Recorder
from nexau.trajectory import CallResult, Event
from nexau.transports.protocol import NO_USAGE, Text

pytestmark = pytest.mark.anyio

ROOT = Path("run")
FLUSH = 1.0


@pytest.fixture
def anyio_backend() -> Any:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def journal_of(files: MemoryFiles, flush: float = FLUSH) -> Journal:
    return Journal(
        files,
        JournalFiles(files, ROOT),
        TrajectoryFiles(files, ROOT),
        Progress(0, 0, False),
        Durability(flush),
    )


def steps_of(recorder: Recorder, agents: Sequence[str], number: int) -> None:
    """One step of each agent, their calls side by side, in an order of their own each."""
    for agent in agents:
        calls = tuple(ToolCall(f"{number}.{each}", "note", {"n": number}) for each in range(2))
        recorder.model_turn(agent, number, Turn("", calls, finish_reason="tool_calls"), 0.5)
    for each in range(2):
        for agent in agents:
            recorder.called(agent, ToolCall(f"{number}.{each}", "note", {"n": number}))
    for agent in agents:
        for each in reversed(range(2)):
            result = CallResult(f"{number}.{each}", (Text("noted"),), seconds=0.25)
            recorder.returned(agent, result, recorder.clock())


def recovered(files: MemoryFiles, lines: Sequence[bytes]) -> list[Event]:
    """The events of rollout 0, read back from a journal of these batches."""
    path = segment_path(ROOT / JOURNAL, 1)
    files.put(path, b"".join(seal_batch(each, each.count(b"\n")) for each in lines))
    found = recover(files, ROOT, 1).unfinished
    return found[0].events if found else []


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.none() | st.integers(0, 7))
def test_events_are_read_back_up_to_the_first_that_is_lost(
    taken: list[bool], lost: int | None
) -> None:
    files = MemoryFiles()
    recorder = JournalRecorder("t/0", journal_of(files), 0, 0, wants_events=True)
    batches: list[bytes] = []
    ends: list[int] = []
    agents = ["root", "root/helper#1"]
    for agent in agents:
        recorder.started(agent, "boss", (UserMessage("look"),), None)
    for number, take in enumerate([*taken, True]):
        steps_of(recorder, agents, number)
        recorder._tell(recorder.pending[0])  # what only listeners get has a number too
        told = recorder.pending.pop()
        assert told is recorder.pending[0]
        if take:
            batches.append(lines_of([recorder.take()])[0])
            ends.append(len(recorder.pending))
    truth = list(recorder.pending)
    if lost is not None and lost < len(batches):
        truth = truth[: ends[lost - 1] if lost else 0]
        del batches[lost]
    assert recovered(files, batches) == truth


def test_events_that_cannot_be_json_end_what_is_on_record() -> None:
    files = MemoryFiles()
    recorder = JournalRecorder("t/0", journal_of(files), 0, 0, wants_events=True)
    recorder.started("root", "boss", (UserMessage("look"),), None)
    steps_of(recorder, ["root"], 0)
    recorder.returned("root", CallResult("0.0", (), structured=object()), 0.0)
    steps_of(recorder, ["root"], 1)
    before = recorder.pending[:6]
    lines, count = lines_of(
        [recorder.take(), ("task", 0, 0, {"id": "t", "input": "x"}), ("task", object())]
    )
    assert (count, lines.count(b"\n")) == (2, 2)
    steps_of(recorder, ["root"], 2)
    assert recovered(files, [lines, lines_of([recorder.take()])[0]]) == before


def test_a_call_whose_turn_is_not_there_is_not_believed() -> None:
    files = MemoryFiles()
    result = {"call_id": "x", "content": []}
    whole = {"type": "result", "rollout": "t/0", "seq": 1, "at": 0.0, "agent": "root"}
    briefs = ([0.0, 1, "root", "no-call"], [0.0, 1, "root", result], whole | {"result": result})
    for event in briefs:
        line, _ = lines_of([("events", 0, 0, 0, [event])])
        assert recovered(files, [line]) == []


class Steady:
    """An attempt that does something every tenth of a second."""

    def __init__(self, journal: Journal, place: int) -> None:
        self._journal, self._place = journal, place
        self._since: float | None = None
        self.taken = 0
        self.longest = 0.0
        """Seconds that something waited to be written."""

    async def run(self, seconds: float) -> None:
        end = anyio.current_time() + seconds
        while anyio.current_time() < end:
            if self._since is None:
                self._since = anyio.current_time()
                self._journal.unwritten(self._place, self)
            await anyio.sleep(0.1)

    def take(self) -> tuple[Any, ...]:
        assert self._since is not None
        self.longest = max(self.longest, anyio.current_time() - self._since)
        self._since = None
        self.taken += 1
        recorder = Recorder("t/0")
        event = recorder.finished("root", "completed", None, None, None, NO_USAGE)
        return ("events", self._place, 0, 0, [event])


async def test_nothing_waits_for_longer_than_flush_and_what_is_soon_over_is_not_written() -> None:
    files = MemoryFiles()
    journal = journal_of(files)

    async def deliver(block: Block) -> None:
        raise AssertionError(block)

    long = [Steady(journal, place) for place in range(5)]
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run, deliver)
        for each in long:
            group.start_soon(each.run, 20.0)
            await anyio.sleep(0.13)
        for place in range(100, 130):
            short = Steady(journal, place)
            with anyio.move_on_after(0.45):
                await short.run(20.0)
            recorder = Recorder("s/0")
            recorder.finished("root", "completed", None, None, None, NO_USAGE)
            journal._unwritten.forget(place)  # as when it is sealed
            assert short.taken == 0
        await anyio.sleep(21 - 30 * 0.45)
        journal.finish()
    for each in long:
        assert 20 / FLUSH <= each.taken <= 2 * 20 / FLUSH + 2
        assert FLUSH / 2 <= each.longest <= FLUSH + 1e-6
    read: list[Any] = []
    read_journal(files.read(segment_path(ROOT / JOURNAL, 1)), read.append)
    assert sum(isinstance(each, Events) for each in read) == sum(each.taken for each in long)
