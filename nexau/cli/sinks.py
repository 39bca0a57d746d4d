"""`--sink`: where else lines go, besides stdout."""

import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import msgspec
import typer

import nexau
from nexau.cli.exits import stop
from nexau.cli.options import EmitKind
from nexau.files.nearest import hint
from nexau.output.httpsink import open_http_sink
from nexau.output.sinks import Outlet, Policy
from nexau.transports.lines import open_lines

Sinks = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        metavar="TARGET[,emit=KIND][,policy=POLICY]",
        help="Lines go there too: a file, or a URL that takes application/x-ndjson.",
    ),
]
StdoutPolicy = Annotated[
    Policy,
    typer.Option(
        "--policy",
        help="A slow reader of stdout: blocks the run, spills to disk, drops events and steps.",
    ),
]
_KEYS = ("emit", "policy")


class SinkSpec(msgspec.Struct, frozen=True):
    """One `--sink`."""

    target: str
    emit: EmitKind
    policy: Policy

    @property
    def is_url(self) -> bool:
        return self.target.startswith(("http://", "https://"))


def parse_sinks(texts: Sequence[str], emit: EmitKind) -> tuple[SinkSpec, ...]:
    """`emit` is what one emits that does not say. Ends the command where one is not understood."""
    specs = tuple(_parse(text, emit) for text in texts)
    files = [Path(spec.target).resolve() for spec in specs if not spec.is_url]
    for path in files:
        if files.count(path) > 1:
            stop(f"--sink {path.name}: given twice; two that write the same file mix their lines")
    return specs


def _parse(text: str, emit: EmitKind) -> SinkSpec:
    target, *settings = text.split(",")
    values: dict[str, str] = {"emit": emit, "policy": "block"}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in _KEYS:
            stop(f"--sink {target}: unknown setting {key!r}{hint(key, _KEYS, 'there are')}")
        known = get_args(EmitKind) if key == "emit" else get_args(Policy)
        if value not in known:
            stop(f"--sink {target}: {key}: {value!r}{hint(value, known, 'expected one of')}")
        values[key] = value
    if not target:
        stop("--sink: expected a file or a URL")
    spec = SinkSpec(target, cast("EmitKind", values["emit"]), cast("Policy", values["policy"]))
    parent = Path(target).parent
    if not spec.is_url and not (parent.is_dir() and os.access(parent, os.W_OK)):
        stop(f"--sink {target}: cannot be written: no such directory, or no permission")
    return spec


@asynccontextmanager
async def open_sinks(specs: Sequence[SinkSpec], folder: Path | None) -> AsyncIterator[list[Any]]:
    """Outlets for all of them; closed at the end. Files are appended to."""
    async with AsyncExitStack() as stack:
        outlets: list[Any] = []
        for spec in specs:
            sink: Any
            if spec.is_url:
                sink = await stack.enter_async_context(open_http_sink(spec.target, spec.emit))
            else:
                descriptor = _open(spec.target)
                stack.callback(os.close, descriptor)
                writer = await stack.enter_async_context(
                    open_lines(descriptor, name=f"--sink {spec.target}")
                )
                sink = nexau.LineSink(writer, spec.emit)
            outlets.append(Outlet(sink, spec.policy, folder))
        yield outlets


def _open(target: str) -> int:
    """For appending. A line that a process which was killed has left half written is ended, so that
    it spoils no other.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(target, flags, 0o644)
    except OSError as error:
        raise nexau.DefinitionError(f"--sink {target}: {error.strerror}") from None
    held = os.fstat(descriptor)
    whole = not stat.S_ISREG(held.st_mode) or not held.st_size
    if not whole and os.pread(descriptor, 1, held.st_size - 1) != b"\n":
        os.write(descriptor, b"\n")
    return descriptor
