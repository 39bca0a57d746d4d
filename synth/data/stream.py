"""Trajectories out of files of JSON lines, one at a time."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.paths import missing
from nexau.files.problems import display
from nexau.synth.data.convert import ToolTables
from nexau.synth.data.spoken import AnyTrajectory, Spoken
from nexau.trajectory import Trajectory

T = TypeVar("T", bound=AnyTrajectory)
T_co = TypeVar("T_co", bound=AnyTrajectory, covariant=True)
Advance = Callable[[int], object]
"""Told of bytes read."""
_BUFFER = 1 << 18
"""Bytes: a line of twenty steps is 15 KB, and is read at once."""


class Line(Struct, Generic[T_co], frozen=True, gc=False):
    """One trajectory, as it stands in its file."""

    data: bytes
    """With its newline."""
    number: int
    """From 1."""
    trajectory: T_co
    file: str


class _Tag(Struct, gc=False):
    type: str = ""


def size_of(files: list[Path]) -> int | None:
    """Bytes in all; None where a stream is among them."""
    total = 0
    for file in files:
        if str(file) == "-" or not file.is_file():
            return None
        total += file.stat().st_size
    return total


def check_files(files: list[Path]) -> None:
    """Raises `DefinitionError` for one that is not there, before anything is written."""
    for file in files:
        if str(file) != "-" and not file.exists():
            raise DefinitionError(missing(file))


def expand(places: list[Path]) -> list[Path]:
    """Folders become the files of JSON lines in them. Raises `DefinitionError`."""
    check_files(places)
    files: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(p for p in place.rglob("*") if _holds_lines(p))
            if not inside:
                raise DefinitionError(f"{display(place)}: holds no file of JSON lines")
            files += inside
        else:
            files.append(place)
    return files


def _holds_lines(file: Path) -> bool:
    """Whether it may hold trajectories: not what a run keeps beside them."""
    return file.suffix in (".jsonl", ".ndjson") and file.parent.name not in ("journal", "logs")


def trajectories(
    files: list[Path], advance: Advance | None = None, *, strict: bool = True
) -> Iterator[Line[Trajectory]]:
    """The trajectory lines of files, or of stdin (`-`), in order; other kinds are passed over.

    Raises `DefinitionError`, with file and line, for a line that is no JSON, or no trajectory,
    and at the end where there was none. Not strict: lines of other programs are passed over too.
    """
    return _read(files, Trajectory, advance, strict=strict)


def spoken(files: list[Path], advance: Advance | None = None) -> Iterator[Line[Spoken]]:
    """The same lines, read for their conversations only."""
    return _read(files, Spoken, advance, strict=True)


def _read(
    files: list[Path], kind: type[T], advance: Advance | None, *, strict: bool
) -> Iterator[Line[T]]:
    found = False
    for file in files:
        name = "stdin" if str(file) == "-" else display(file)
        for line in decoded(_lines(file, advance), name, kind, strict=strict):
            found = True
            yield line
    if strict and not found:
        raise nothing_in(files)


def nothing_in(files: list[Path]) -> DefinitionError:
    return DefinitionError(f"{', '.join(map(display, files))}: holds no trajectory")


def decoded(
    lines: Iterable[bytes], name: str, kind: type[T], first: int = 1, *, strict: bool = True
) -> Iterator[Line[T]]:
    """The trajectories among lines of a file of that name, which begin with its `first`.

    Raises `DefinitionError` as `trajectories` does, but for there being none.
    """
    whole = msgspec.json.Decoder(kind)
    tables = ToolTables()
    tags = msgspec.json.Decoder(_Tag)
    for number, data in enumerate(lines, first):
        try:
            trajectory = whole.decode(data)
            # What is kept raw is read later: here it is seen that it can be.
            if not data.isascii():
                data.decode()
            for record in trajectory.agents:
                tables.of(record.tools)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if _passed_over(data, tags, strict=strict):
                continue
            raise DefinitionError(f"{name}:{number}:1: not a trajectory: {error}") from None
        yield Line(data, number, trajectory, name)


def _passed_over(data: bytes, tags: msgspec.json.Decoder[_Tag], *, strict: bool) -> bool:
    """Whether a line is one of another kind: a step, an event, a blank one."""
    if not data.strip():
        return True
    try:
        return tags.decode(data).type != "trajectory"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return not strict


def _lines(file: Path, advance: Advance | None) -> Iterator[bytes]:
    with ExitStack() as stack:
        source: BinaryIO
        if str(file) == "-":
            source = sys.stdin.buffer
        else:
            try:
                source = stack.enter_context(file.open("rb", buffering=_BUFFER))
            except OSError as error:
                raise DefinitionError(
                    f"{display(file)}: cannot be read: {error.strerror}"
                ) from None
        for data in source:
            if advance is not None:
                advance(len(data))
            yield data
