"""Disks that fill up, tear, flip bits and lose power; and what is then read back."""

import errno
import os
import random
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from nexau.journal import intake
from nexau.journal.directory import keeping
from nexau.journal.durability import Durability
from nexau.journal.files import Appender, DiskFiles, NotWritten
from nexau.journal.overview import verify
from nexau.journal.ranges import Ranges
from nexau.journal.reading import read_journal
from nexau.journal.records import Progress, encoder, seal_batch
from nexau.journal.testing import MemoryFiles
from nexau.tasks.assignments import Repeated
from nexau.tasks.stream import read_tasks
from nexau.workers.run import WorkersRun
from tests.journal.played import ROOT, Played
from tests.journal.test_resume import final, lived

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@given(st.lists(st.integers(0, 60)))
def test_ranges_are_sets(numbers: list[int]) -> None:
    ranges, known = Ranges(), set[int]()
    for number in numbers:
        assert ranges.add(number) is (number not in known)
        known.add(number)
    assert len(ranges) == len(known)
    assert [number for number in range(62) if number in ranges] == sorted(known)
    assert list(ranges.missing(40)) == [number for number in range(40) if number not in known]


@given(st.integers(0, 1 << 30), st.integers(0, 7))
@settings(deadline=None)
def test_no_flipped_bit_is_believed(at: int, bit: int) -> None:
    batches = []
    for number in range(8):
        line = encoder.encode(Progress(number, number * 7919, False)) + b"\n"
        batches.append(seal_batch(line * 2, 2))
    data = bytearray(b"".join(batches))
    data[at % len(data)] ^= 1 << bit
    read: list[Any] = []
    found = read_journal(bytes(data), read.append)
    assert all(record.chain == record.tasks * 7919 for record in read)
    # The batch that was hit is lost, and where its end was hit the one after it.
    assert 12 <= len(read) <= 14
    assert found.damaged or found.torn


@given(st.integers(0, 1 << 30))
@settings(deadline=None)
def test_a_torn_end_costs_the_batch_it_tore(at: int) -> None:
    line = encoder.encode(Progress(1, 2, False)) + b"\n"
    data = seal_batch(line, 1) * 5
    at %= len(data)
    read: list[Any] = []
    found = read_journal(data[:at], read.append)
    assert len(read) == at // (len(data) // 5)
    assert found.sound
    assert found.whole + found.torn == at


def test_a_piece_that_does_not_fit_leaves_nothing_behind() -> None:
    files = MemoryFiles(capacity=100)
    file = Appender(files, Path("x"))
    file.append(b"a" * 60)
    with pytest.raises(OSError, match="No space") as full:
        file.append(b"b" * 60)
    assert full.value.errno == errno.ENOSPC
    assert files.read(Path("x")) == b"a" * 60
    files.capacity = None
    file.append(b"b" * 60)
    assert files.read(Path("x")) == b"a" * 60 + b"b" * 60


def test_put_is_all_or_nothing_on_a_disk(tmp_path: Path) -> None:
    files = DiskFiles()
    files.put(tmp_path / "x", b"one")
    files.put(tmp_path / "x", b"two")
    assert files.read(tmp_path / "x") == b"two"
    assert files.names(tmp_path) == ["x"]


def test_a_lock_that_cannot_be_written_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = DiskFiles()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            files.lock(tmp_path / "lock")
    # Nobody holds it, so it can be had.
    files.close(files.lock(tmp_path / "lock"))


@pytest.mark.parametrize("seed", range(4))
async def test_a_full_disk_stops_the_run_until_there_is_room(seed: int) -> None:
    played = Played(seed, MemoryFiles(), tasks=8)
    stalled = 0

    async def make_room() -> None:
        nonlocal stalled
        while True:
            await anyio.sleep(0.6)
            played.files.capacity = played.files.used() + 3000
            await anyio.sleep(3)
            stalled += 1
            played.files.capacity = None

    async with anyio.create_task_group() as group:
        group.start_soon(make_room)
        with anyio.fail_after(600):
            assert await played.process()
        group.cancel_scope.cancel()
    assert stalled
    whole = Played(seed, MemoryFiles(), tasks=8)
    await lived(whole, 0)
    assert final(played) == final(whole)
    assert max(played.world.answered.values()) == 1
    assert verify(ROOT, files=played.files).sound


async def test_a_run_that_is_stopped_on_a_full_disk_says_so_and_goes_on_later() -> None:
    played = Played(3, MemoryFiles(), tasks=8)
    played.files.capacity = 12_000
    with pytest.raises(ExceptionGroup) as full:
        await played.process(cancel_after=60)
    assert full.group_contains(NotWritten, match="No space")
    played.files.capacity = None
    played.files.restart()
    assert await played.process()
    whole = Played(3, MemoryFiles(), tasks=8)
    await lived(whole, 0)
    assert final(played) == final(whole)


async def test_a_disk_that_fills_up_after_the_run_was_stopped_is_not_waited_for() -> None:
    files = MemoryFiles()
    played = Played(3, files, tasks=8, durability=Durability(flush=30.0))

    async def fill() -> None:
        await anyio.sleep(0.9)
        files.capacity = files.used()

    async with anyio.create_task_group() as group:
        group.start_soon(fill)
        with anyio.fail_after(20), pytest.raises(ExceptionGroup) as full:
            await played.process(cancel_after=1.0)
    assert full.group_contains(NotWritten, match="No space")
    files.capacity = None
    files.restart()
    assert await played.process()
    whole = Played(3, MemoryFiles(), tasks=8)
    await lived(whole, 0)
    assert final(played) == final(whole)


@pytest.mark.parametrize("order", ["the workers end, then it is stopped", "the other way"])
async def test_with_workers_a_run_that_is_stopped_does_not_wait_for_room(order: str) -> None:
    files = MemoryFiles()
    played = Played(3, files)
    run = WorkersRun(Repeated(read_tasks([]), 1), 1)
    with keeping(played.directory(played.world.agent()), Durability()) as run.journal:
        assert run.journal is not None
        files.capacity = files.used()
        run.journal.keep(Progress(1, 2, False))
        async with anyio.create_task_group() as group:
            group.start_soon(run.attend)
            group.start_soon(run.keep, run.journal)
            steps = [run._gone.set, run.drain]
            for step in steps if order != "the other way" else reversed(steps):
                await anyio.sleep(5)
                assert run.journal.stalled is not None
                step()
            with anyio.fail_after(20), pytest.raises(NotWritten, match="No space"):
                await run.wait()


@pytest.mark.parametrize("seed", range(6))
async def test_a_loss_of_power_takes_what_was_not_synced(seed: int) -> None:
    played = Played(seed, MemoryFiles(), tasks=6, durability=Durability(sync=0.0), segment=4000)
    chance = random.Random(seed)
    for _ in range(3):
        played.files.restart()
        await played.process(kill_after=0.3 + chance.random(), power=chance)
    kept = {each.id for each in played.trajectories() if each.final}
    shown = {each.id for each in played.sunk if each.final}
    # With sync=0 nothing is shown that could be lost.
    assert shown <= kept
    played.files.restart()
    assert await played.process()
    whole = Played(seed, MemoryFiles(), tasks=6)
    await lived(whole, 0)
    assert final(played) == final(whole)
    assert verify(ROOT, files=played.files).sound


@pytest.mark.parametrize("seed", range(8))
async def test_a_flipped_bit_is_found_and_what_it_hit_is_done_again(seed: int) -> None:
    played = Played(seed, MemoryFiles(), tasks=6)
    await played.process(kill_after=1.2)
    chance = random.Random(seed)
    paths = [path for path in played.files.paths() if path.suffix in (".jsonl", ".index")]
    path = chance.choice([path for path in paths if played.files.read(path)])
    played.files.restart()
    played.files.flip(path, chance.randrange(len(played.files.read(path))), chance.randrange(8))
    before = verify(ROOT, files=played.files)
    assert not before.sound or before.notes
    assert await played.process()
    assert played.repairs
    whole = Played(seed, MemoryFiles(), tasks=6)
    await lived(whole, 0)
    assert final(played) == final(whole)
    assert verify(ROOT, files=played.files).sound


async def test_journals_of_rollouts_that_have_ended_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A segment stays as long as a task in it is to be done.
    monkeypatch.setattr(intake, "AHEAD", 1)
    played = Played(1, MemoryFiles(), tasks=60, segment=8_000)
    await played.process(kill_after=2.0)
    played.files.restart()
    assert await played.process()
    journals = [path for path in played.files.paths() if path.parent.name == "journal"]
    segments = [path for path in played.files.paths() if path.suffix == ".index"]
    assert len(journals) < int(journals[-1].stem) / 2
    assert len(segments) > 4
    assert len(final(played)) == 60
    assert verify(ROOT, files=played.files).sound
