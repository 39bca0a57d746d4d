"""From the files of a run that has died to what is to be done: repaired, counted, read back."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from nexau.definitions.values import Task
from nexau.journal.files import Files
from nexau.journal.ranges import Ranges
from nexau.journal.reading import Damage, Findings, Trajectories, read_journal, read_trajectories
from nexau.journal.records import (
    Admitted,
    Brief,
    Cut,
    Events,
    Kept,
    Progress,
    Record,
    Sealed,
    encoder,
)
from nexau.journal.segments import JOURNAL, TRAJECTORIES, segment_path
from nexau.models.base import ToolCall
from nexau.trajectory import Called, Event, Finished, ModelTurn, Returned

DAMAGED = "damaged"
PART = "worker-"
"""Begins the names of folders of a run in several processes: each has a journal and trajectories of
its own."""
_task = msgspec.json.Decoder(Task)


class Unfinished(Struct):
    """An attempt that was under way."""

    attempt: int = 0
    events: list[Event] = []
    restarts: list[str] = []
    """Why it was begun anew, each time that it was."""


class Recovered(Struct):
    """What a run has done, and what it had begun."""

    ended: Ranges
    """Places whose final trajectory is whole."""
    attempts: dict[int, int]
    """Of places that have not ended: the attempt that comes next."""
    tasks: dict[int, Task]
    """By number: those with rollouts that have not ended."""
    unfinished: dict[int, Unfinished]
    """By place."""
    progress: Progress
    repairs: list[str]
    """What was wrong with the files, and what was done about it; for people."""
    repeat: int

    def open_places(self) -> list[int]:
        """Of the tasks that were admitted: those whose final trajectory is not there, in order."""
        return list(self.ended.missing(self.progress.tasks * self.repeat))


def recover(files: Files, root: Path, repeat: int, *, repair: bool = True) -> Recovered:
    """Reads everything, checks it against its checksums and, with `repair`, leaves files that can
    be written on. Nothing that could not be read is thrown away: it goes to `damaged/`.
    """
    found = Recovered(Ranges(), {}, {}, {}, Progress(0, 0, False), [], repeat)
    folders = (root, *parts(files, root))
    for folder in folders:
        _read_trajectories(files, folder, found, repair=repair)
    for folder in folders:
        _read_journal(files, folder, found, repair=repair)
    for place, unfinished in found.unfinished.items():
        unfinished.events = before_interruption(unfinished.events)
        found.attempts.setdefault(place, unfinished.attempt)
    return found


def parts(files: Files, root: Path) -> list[Path]:
    """The folders of workers."""
    return [root / name for name in files.names(root) if name.startswith(PART)]


def numbers(files: Files, folder: Path) -> list[int]:
    """Of the segments in a folder."""
    names = files.names(folder)
    return sorted({int(name[:6]) for name in names if name[:6].isdigit()})


def _read_trajectories(files: Files, root: Path, found: Recovered, *, repair: bool) -> None:
    folder = root / TRAJECTORIES
    for number in numbers(files, folder):
        path, index_path = segment_path(folder, number), segment_path(folder, number, "index")
        data, index = _content(files, path), _content(files, index_path)
        read = read_trajectories(data, index)
        for sealed in read.sealed:
            _count(sealed, found)
        if read.sound and not read.torn and not read.index_torn:
            continue
        found.repairs += _told(path, read)
        if not repair:
            continue
        if read.sound:
            _cut(files, root, path, data, read.end)
            _cut(files, root, index_path, index, read.index_end)
        else:
            _set_aside(files, root, path, data)
            _set_aside(files, root, index_path, index)
            _rewrite(files, path, index_path, data, read.sealed)


def _count(sealed: Sealed, found: Recovered) -> None:
    if sealed.final:
        found.ended.add(sealed.place)
        found.attempts.pop(sealed.place, None)
    elif sealed.place not in found.ended:
        found.attempts[sealed.place] = max(found.attempts.get(sealed.place, 0), sealed.attempt + 1)


def _told(path: Path, read: Trajectories) -> list[str]:
    name = f"{path.parent.name}/{path.name}"
    told: list[str] = []
    if read.torn or read.index_torn:
        torn = read.torn + read.index_torn
        told.append(f"{name}: cut {torn} bytes that were not written to the end")
    if not read.sound:
        lines = len(read.bad) + read.illegible
        told.append(
            f"{name}: {lines} lines are not what was written; the file is in {DAMAGED}/, its "
            f"{len(read.sealed)} good lines stay"
        )
    return told


def _rewrite(
    files: Files, path: Path, index_path: Path, data: bytes, good: Iterable[Sealed]
) -> None:
    lines: list[bytes] = []
    entries: list[Sealed] = []
    offset = 0
    for sealed in good:
        lines.append(data[sealed.offset : sealed.offset + sealed.length + 1])
        entries.append(msgspec.structs.replace(sealed, offset=offset))
        offset += sealed.length + 1
    files.put(path, b"".join(lines))
    files.put(index_path, encoder.encode_lines(entries))


def _read_journal(files: Files, root: Path, found: Recovered, *, repair: bool) -> None:
    folder = root / JOURNAL

    def take(record: Record) -> None:
        if isinstance(record, Events | Kept):
            _take_events(record, found)
        elif isinstance(record, Cut):
            _take_cut(record, found)
        elif isinstance(record, Admitted):
            _take_task(record, found)
        elif record.tasks >= found.progress.tasks:
            found.progress = record

    for number in numbers(files, folder):
        path = segment_path(folder, number)
        data = _content(files, path)
        read = read_journal(data, take)
        if read.sound and not read.torn:
            continue
        found.repairs += _told_of_journal(f"{JOURNAL}/{path.name}", read)
        if repair and read.sound:
            _cut(files, root, path, data, read.whole)
        elif repair:
            _set_aside(files, root, path, data)
            files.put(path, _without(data, read.damaged, read.whole))


def _told_of_journal(name: str, read: Findings) -> list[str]:
    told: list[str] = []
    if read.torn:
        told.append(f"{name}: cut {read.torn} bytes that were not written to the end")
    if not read.sound:
        told.append(
            f"{name}: {len(read.damaged)} batches are not what was written; the file is in "
            f"{DAMAGED}/, its {read.pieces} good batches stay"
        )
    return told


def _take_events(record: Events | Kept, found: Recovered) -> None:
    if record.place in found.ended or record.attempt < found.attempts.get(record.place, 0):
        return
    unfinished = found.unfinished.get(record.place)
    if unfinished is None or record.attempt > unfinished.attempt:
        unfinished = found.unfinished[record.place] = Unfinished(record.attempt)
    before = unfinished.events
    if record.attempt != unfinished.attempt or record.index != len(before):
        return  # one before them is lost, and with it all that came of it
    for event in record.events if isinstance(record, Events) else (record.event,):
        whole = _whole(event, before)
        if whole is None:
            return
        before.append(whole)


def _whole(event: Event | Brief, before: list[Event]) -> Event | None:
    """None for the result of a call, or a brief call, that no turn has made: nothing of what
    follows can be gone on with.
    """
    if not isinstance(event, tuple):
        known = not isinstance(event, Returned) or _call(event.agent, event.result.call_id, before)
        return event if known else None
    at, seq, agent, what = event
    call = _call(agent, what if isinstance(what, str) else what.call_id, before)
    if call is None:
        return None
    rollout = before[0].rollout
    if isinstance(what, str):
        return Called(rollout, seq, at, agent, call)
    return Returned(rollout, seq, at, agent, what)


def _call(agent: str, call_id: str, before: list[Event]) -> ToolCall | None:
    """Of the agent's last turn."""
    for event in reversed(before):
        if isinstance(event, ModelTurn) and event.agent == agent:
            return next((call for call in event.calls if call.id == call_id), None)
    return None


def _take_cut(record: Cut, found: Recovered) -> None:
    unfinished = found.unfinished.get(record.place)
    if unfinished is not None and unfinished.attempt == record.attempt:
        del unfinished.events[record.index :]
        if record.reason:
            unfinished.restarts.append(record.reason)


def _take_task(record: Admitted, found: Recovered) -> None:
    if record.number >= found.progress.tasks:
        found.progress = Progress(record.number + 1, record.chain, found.progress.ended)
    first = record.number * found.repeat
    if any(place not in found.ended for place in range(first, first + found.repeat)):
        found.tasks[record.number] = _task.decode(record.task)


def before_interruption(events: list[Event]) -> list[Event]:
    """The events up to where the run was interrupted, which ended agents as cancelled.

    An agent that was cancelled because one above it had reached a limit stays: it is known by the
    result that came of it.
    """
    returned = {event.result.agent for event in events if isinstance(event, Returned)}
    for index, event in enumerate(events):
        if isinstance(event, Finished) and event.status == "cancelled":
            steps = event.agent.split("/")
            above = {"/".join(steps[: end + 1]) for end in range(len(steps))}
            if not above & returned:
                return events[:index]
    return events


def _content(files: Files, path: Path) -> bytes:
    try:
        return files.read(path)
    except FileNotFoundError:
        return b""


def _without(data: bytes, damaged: Iterable[Damage], end: int) -> bytes:
    parts: list[bytes] = []
    at = 0
    for each in damaged:
        parts.append(data[at : each.start])
        at = each.end
    parts.append(data[at:end])
    return b"".join(parts)


def _cut(files: Files, root: Path, path: Path, data: bytes, end: int) -> None:
    """What is cut off is kept: it may be all there is of a rollout."""
    if end == len(data):
        return
    files.make(root / DAMAGED)
    files.put(_free(files, root / DAMAGED, f"{path.parent.name}-{path.name}.tail"), data[end:])
    handle = files.open(path)
    try:
        files.truncate(handle, end)
        files.sync(handle)
    finally:
        files.close(handle)


def _set_aside(files: Files, root: Path, path: Path, data: bytes) -> None:
    files.make(root / DAMAGED)
    files.put(_free(files, root / DAMAGED, f"{path.parent.name}-{path.name}"), data)


def _free(files: Files, folder: Path, name: str) -> Path:
    taken = set(files.names(folder))
    number = 1
    while f"{name}.{number}" in taken:
        number += 1
    return folder / f"{name}.{number}"
