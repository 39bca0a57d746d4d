"""What commands that pass over files of trajectories share: a bar, and outputs that are whole."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Annotated, BinaryIO

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from nexau.cli.exits import stop, to_stdout
from nexau.cli.screen import console
from nexau.synth.data.stream import Advance, size_of

_INTERVAL = 0.2

Workers = Annotated[
    int,
    typer.Option("--workers", "-w", min=1, max=256, help="Processes; the output is that of one."),
]


def with_numpy(*names: str) -> list[ModuleType]:
    """Modules that need the extra `synth`. Ends the command where it is not installed."""
    # The matrices are small, and threads that wait for each other on a busy machine take a
    # hundred times as long as one that works.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    try:
        return [import_module(name) for name in names]
    except ModuleNotFoundError:
        stop("this needs the extra: pip install 'nexau[synth]'")


@contextmanager
def bar(files: list[Path], what: str, *, shown: bool = True) -> Iterator[Advance | None]:
    """Told of bytes read; a bar on stderr where that is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), auto_refresh=False) as progress:
        identity = progress.add_task(what, total=size_of(files))
        seen, drawn = 0, monotonic()

        def advance(count: int) -> None:
            nonlocal seen, drawn
            seen += count
            now = monotonic()
            if now - drawn >= _INTERVAL:
                drawn = now
                progress.update(identity, completed=seen)
                progress.refresh()

        yield advance
        progress.update(identity, completed=seen)
        progress.refresh()


@contextmanager
def output(file: Path | None) -> Iterator[BinaryIO]:
    """stdout, or a file that is there only once it is whole."""
    if file is None:
        with to_stdout() as lines:
            yield lines
        return
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("wb") as lines:
            yield lines
        partial.replace(file)
    except OSError as error:
        stop(f"cannot write {file}: {error.strerror}", 1)
    finally:
        with suppress(OSError):
            partial.unlink()


def check_writable(*files: Path | None) -> None:
    """Ends the command before it begins where an output could not be written."""
    for file in files:
        if file is None:
            continue
        parent = file.parent
        if file.is_dir():
            stop(f"cannot write {file}: it is a directory")
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            stop(f"cannot write {file}: no such directory, or no permission")
