"""A run as a directory: made, locked, recovered, and closed again.

run.json          what was asked for, and with what (`nexau.journal.records.Manifest`)
trajectories/     000001.jsonl, ...: a line for each attempt that has ended; .index: where each
                  line stands, with its checksum
journal/          000001.jsonl, ...: tasks as they were admitted, events of rollouts under way
logs/             what went to stderr, one file for each time that the run was started
damaged/          what was set aside because its checksum was wrong, or cut off
lock              held while a process writes here
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nexau.definitions.values import Agent, DefinitionError
from nexau.files.problems import display
from nexau.journal.durability import Durability
from nexau.journal.files import DiskFiles, Files, Locked
from nexau.journal.fingerprint import definition_of, differences, files_of, tools_of, versions
from nexau.journal.keeper import Journal
from nexau.journal.ranges import Ranges
from nexau.journal.records import FORMAT, READ, Manifest, Progress, Resume
from nexau.journal.recovery import DAMAGED, PART, Recovered, numbers, parts, recover
from nexau.journal.segments import (
    JOURNAL,
    SEGMENT,
    TRAJECTORIES,
    JournalFiles,
    TrajectoryFiles,
    segment_path,
)
from nexau.prepare import Prepared
from nexau.secrets.redaction import SECRETS

MANIFEST = "run.json"
LOGS = "logs"
LOCK = "lock"
WORKERS_SECONDS = 20.0
"""For which the workers of a run that died may take to notice."""
_manifest = msgspec.json.Decoder(Manifest)


class RunDirectory:
    """Made by `create_run` or `resume_run`, which hold its lock until `close`."""

    def __init__(
        self, files: Files, root: Path, manifest: Manifest, recovered: Recovered, lock: int
    ) -> None:
        self.files = files
        self.root = root
        self.manifest = manifest
        self.recovered = recovered
        self.accepts = False
        """Whether the run may go on with what has changed."""
        self.segment = SEGMENT
        """Bytes from which a file is continued in the next one."""
        self._lock: int | None = lock

    def open_journal(self, durability: Durability) -> Journal:
        size = self.segment
        journal = JournalFiles(self.files, self.root, size=size)
        trajectories = TrajectoryFiles(self.files, self.root, size=size)
        return Journal(self.files, journal, trajectories, self.recovered.progress, durability)

    def forget_workers(self) -> None:
        """Removes the journals of workers: what they tell is on record elsewhere."""
        for part in parts(self.files, self.root):
            for number in numbers(self.files, part / JOURNAL):
                self.files.remove(segment_path(part / JOURNAL, number))

    def amend(self, **changes: Any) -> None:
        """Changes the manifest, on the disk too."""
        self.manifest = msgspec.structs.replace(self.manifest, **changes)
        _write_manifest(self.files, self.root, self.manifest)

    def close(self) -> None:
        if self._lock is not None:
            self.files.close(self._lock)
            self._lock = None


def new_manifest(
    agent: Agent,
    *,
    tasks: str,
    concurrency: int,
    repeat: int,
    seed: int,
    retries: int,
    limit: int | None = None,
    arguments: dict[str, Any] | None = None,
) -> Manifest:
    return Manifest(
        format=FORMAT,
        id=secrets.token_hex(8),
        created_at=time.time(),
        agent=agent.name,
        agent_file=str(agent.source) if agent.source is not None else None,
        tasks=tasks,
        concurrency=concurrency,
        repeat=repeat,
        seed=seed,
        retries=retries,
        limit=limit,
        arguments=arguments or {},
        versions=versions(),
        files=files_of(agent),
        definition=definition_of(agent),
    )


def create_run(root: Path, manifest: Manifest, *, files: Files | None = None) -> RunDirectory:
    """Raises `DefinitionError` for a directory that holds something already, OSError for one that
    cannot be written.
    """
    files = files or DiskFiles()
    try:
        names = set(files.names(root))
    except NotADirectoryError:
        raise DefinitionError(f"{display(root)} is a file: name a directory") from None
    if MANIFEST in names:
        raise DefinitionError(
            f"{display(root)} holds a run already: go on with it (--resume), or name another "
            "directory"
        )
    if names - {LOCK, LOGS}:
        raise DefinitionError(f"{display(root)} is not empty, and holds no run")
    files.make(root)
    lock = _locked(files, root)
    try:
        for folder in (JOURNAL, TRAJECTORIES, LOGS):
            files.make(root / folder)
        _write_manifest(files, root, manifest)
    except BaseException:
        files.close(lock)
        raise
    nothing = Recovered(Ranges(), {}, {}, {}, Progress(0, 0, False), [], manifest.repeat)
    return RunDirectory(files, root, manifest, nothing, lock)


def read_manifest(root: Path, *, files: Files | None = None) -> Manifest:
    """Raises `DefinitionError`."""
    files = files or DiskFiles()
    path = root / MANIFEST
    try:
        data = files.read(path)
    except FileNotFoundError:
        raise DefinitionError(f"{display(root)} holds no run: there is no {MANIFEST}") from None
    except OSError as error:
        raise DefinitionError(f"{display(path)}: {error.strerror}") from None
    try:
        manifest = _manifest.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{display(path)}: not a run's manifest: {error}") from None
    if manifest.format not in READ:
        raise DefinitionError(
            f"{display(path)}: format {manifest.format!r} is not known here; this version reads "
            f"{' and '.join(map(repr, READ))}"
        )
    return manifest


def resume_run(
    root: Path,
    agent: Agent,
    *,
    accept_changes: bool = False,
    files: Files | None = None,
) -> RunDirectory:
    """Locks a run's directory, repairs it and reads back what it was at.

    Raises `DefinitionError` for what is no run, is in use, or is of an agent that has changed
    since, unless `accept_changes`.
    """
    files = files or DiskFiles()
    manifest = read_manifest(root, files=files)
    changes = changes_of(manifest, agent)
    if changes and not accept_changes:
        raise DefinitionError(refusal(root, changes))
    lock = _locked(files, root)
    try:
        for part in parts(files, root):
            _let_go(files, part)
        for folder in (JOURNAL, TRAJECTORIES, LOGS):
            files.make(root / folder)
        recovered = recover(files, root, manifest.repeat)
        directory = RunDirectory(files, root, manifest, recovered, lock)
        directory.accepts = accept_changes
        entry = Resume(time.time(), versions(), tuple(changes))
        directory.amend(
            format=FORMAT,
            resumes=(*manifest.resumes, entry),
            files=files_of(agent),
            definition=definition_of(agent),
        )
    except BaseException:
        files.close(lock)
        raise
    return directory


def changes_of(manifest: Manifest, agent: Agent) -> list[str]:
    """What is not as it was when the run was last started."""
    changes = differences(manifest.files, files_of(agent))
    # What was made from files is known by them, whatever a later version reads out of them.
    made_in_code = manifest.agent_file is None
    if made_in_code and manifest.definition != definition_of(agent):
        changes.append("the definition of the agent has changed")
    return changes


def refusal(root: Path, changes: Sequence[str]) -> str:
    return (
        f"{display(root)}: the run was begun with another agent:\n"
        + "\n".join(f"  {change}" for change in changes)
        + "\nto go on with it as it is now, accept the changes (--accept-changes)"
    )


@contextmanager
def keeping(directory: RunDirectory | None, durability: Durability) -> Iterator[Journal | None]:
    """The journal of a run while it is under way; its directory is closed at the end."""
    if directory is None:
        yield None
        return
    try:
        journal = directory.open_journal(durability)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        directory.close()


@contextmanager
def open_part(
    root: Path, worker: int, durability: Durability, *, files: Files | None = None
) -> Iterator[Journal]:
    """The journal of one worker of the run in `root`. Raises `DefinitionError` where another holds
    it, OSError.
    """
    files = files or DiskFiles()
    part = root / f"{PART}{worker}"
    for folder in (JOURNAL, TRAJECTORIES):
        files.make(part / folder)
    lock = _locked(files, part)
    try:
        journal = Journal(
            files,
            JournalFiles(files, part),
            TrajectoryFiles(files, part),
            Progress(0, 0, False),
            durability,
        )
        try:
            yield journal
        finally:
            journal.close()
    finally:
        files.close(lock)


def _let_go(files: Files, part: Path) -> None:
    """Waits until a worker of the run that died is gone too."""
    until = time.monotonic() + WORKERS_SECONDS
    while True:
        try:
            files.close(files.lock(part / LOCK))
        except Locked as error:
            if time.monotonic() > until:
                raise DefinitionError(f"{display(part)} is {error.strerror}") from None
            time.sleep(0.02)
        else:
            return


def check_tools(directory: RunDirectory, prepared: Prepared) -> None:
    """Notes the tools that the agents are offered. Raises `DefinitionError` where a run is gone on
    with and they are others, unless changes were accepted.
    """
    tools, manifest = tools_of(prepared), directory.manifest
    if tools == manifest.tools:
        return
    if manifest.tools and not directory.accepts:
        raise DefinitionError(
            refusal(directory.root, ["the servers offer other tools, or describe them differently"])
        )
    directory.amend(tools=tools)


def _locked(files: Files, root: Path) -> int:
    try:
        return files.lock(root / LOCK)
    except Locked as error:
        raise DefinitionError(f"{display(root)} is {error.strerror}") from None


def _write_manifest(files: Files, root: Path, manifest: Manifest) -> None:
    encoded = SECRETS.line(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    files.put(root / MANIFEST, encoded)


__all__ = [
    "DAMAGED",
    "LOGS",
    "MANIFEST",
    "RunDirectory",
    "changes_of",
    "check_tools",
    "create_run",
    "keeping",
    "new_manifest",
    "open_part",
    "read_manifest",
    "resume_run",
]
