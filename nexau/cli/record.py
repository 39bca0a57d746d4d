"""`nexau mcp record` and `compare`: the latency of real servers, measured and replayed."""

import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.status import Status

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, emit, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.rows import show
from nexau.cli.screen import console
from nexau.cli.serving import Found, find_server, open_session
from nexau.files.paths import is_file, missing
from nexau.latency import recording
from nexau.latency.comparison import compare_latencies, compare_profiles, latencies_of
from nexau.latency.profiles import SCHEMA, Profile, Taken, ToolProfile, read_profile, write_profile

if TYPE_CHECKING:
    from nexau.transports.connection import Connection

RECORD_EPILOG = """
**SERVER** is `FILE:NAME`, a server of an agent file; or an agent file, for all of its servers; or a
URL; or, after `--`, a command.

**Which calls**: `--calls` names a file of JSON lines, each `{"tool": ..., "arguments": {...}}`,
or a trajectory or step that was recorded before. Without it, tools that say they only read
(`readOnlyHint`) are called with arguments made up from their schemas.

**Examples**

`nexau mcp record agent.yaml:git --calls calls.jsonl --out git.profile.yaml`

`nexau mcp record agent.yaml --calls trajectories.jsonl --out profiles/`

`nexau mcp record --n 500 --in-flight 1,8 -- npx -y @modelcontextprotocol/server-everything`

stdout gets one line of JSON for each profile. What a server is asked to do, it does: measure one
whose state you can lose.

**Exit codes.** 0 done · 1 a server could not be reached · 2 wrong input · 130 interrupted
"""

COMPARE_EPILOG = """
**Examples**

`nexau mcp compare git.profile.yaml trajectories.jsonl --in-flight 16`

`nexau mcp compare git.profile.yaml again.profile.yaml --within 0.05`

One line of JSON for each tool: `d` is the two-sample Kolmogorov-Smirnov distance, `wasserstein`
that of the logarithms of milliseconds.

**Exit codes.** 0 done · 1 some `d` is above `--within` · 2 wrong input
"""


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    found: tuple[Found, ...]
    samples: tuple[recording.Sample, ...] | None
    source: str
    plan: recording.Plan
    out: str | None
    note: str


def record(
    ctx: typer.Context,
    servers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVER...]", help="FILE:NAME, FILE or a URL, if no command."),
    ] = None,
    calls: Annotated[
        str | None, typer.Option(metavar="FILE", help="Calls to make, as JSON lines; - is stdin.")
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Calls of each tool at each level.")] = 200,
    in_flight: Annotated[
        str, typer.Option(metavar="N,N,...", help="Levels: how many calls are under way at once.")
    ] = "1,4,16",
    out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The profile; a folder for several. NAME.profile.yaml."),
    ] = None,
    note: Annotated[str, typer.Option(help="Kept in the profile.")] = "",
    timeout: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="As of `nexau mcp call`.")
    ] = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Measure servers into latency profiles."""
    command = ctx.meta.get("command")
    found = tuple(_found(list(servers or ()), command, timeout))
    plan = recording.Plan(n, _levels(in_flight), timeout or 60.0)
    source = "made up from schemas"
    if calls is not None:
        source = "stdin" if calls == "-" else Path(calls).name
    request = Request(found, _samples(calls), source, plan, out, note)
    start(partial(_record, request), backend=backend, log_level=log_level)


def compare(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="What was recorded.")],
    other: Annotated[
        str,
        typer.Argument(
            metavar="OTHER", help="Trajectories (JSON lines, - is stdin), or a profile."
        ),
    ],
    in_flight: Annotated[
        int, typer.Option(min=1, help="Of trajectories: about how many calls were under way.")
    ] = 1,
    tool: Annotated[
        str | None, typer.Option(help="Take all calls of trajectories for this tool's.")
    ] = None,
    within: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="D", help="Fail where some d is above.")
    ] = None,
) -> None:
    """Tell how far replayed latency is from recorded."""
    try:
        recorded = read_profile(Path(profile))
        if Path(other).suffix in {".yaml", ".yml", ".json"}:
            made = compare_profiles(recorded, read_profile(Path(other)))
        else:
            made = compare_latencies(recorded, _latencies(other), in_flight, tool)
    except nexau.DefinitionError as error:
        stop(str(error))
    if not made:
        stop(f"{other} has no call of a tool of {profile} that succeeded")
    show([msgspec.to_builtins(each) for each in made])
    raise typer.Exit(FAILED if within is not None and any(it.d > within for it in made) else OK)


def _latencies(other: str) -> dict[str, list[float]]:
    if other == "-":
        return latencies_of(sys.stdin, "stdin")
    if not is_file(Path(other)):
        stop(missing(Path(other)))
    with Path(other).open("rb") as lines:
        return latencies_of(lines, other)


def _found(given: list[str], command: list[str] | None, timeout: float | None) -> list[Found]:
    if command is not None or not given:
        return [find_server(given[0] if given else None, command, timeout)]
    found: list[Found] = []
    for each in given:
        if not each.startswith(("http://", "https://")) and is_file(Path(each)):
            found += [find_server(f"{each}:{name}", None, timeout) for name in _names(each)]
        else:
            found.append(find_server(each, None, timeout))
    return found


def _names(file: str) -> list[str]:
    """The servers that the agent of a file declares itself."""
    try:
        names = list(nexau.load_agent(file).mcp_servers)
    except nexau.DefinitionError as error:
        stop(str(error))
    return names or stop(f"{file} has no mcp_servers")


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(sorted({int(each) for each in text.split(",")}))
    except ValueError:
        stop(f"--in-flight: expected numbers with commas between, got {text!r}")
    if levels[0] < 1:
        stop("--in-flight: at least 1")
    return levels


def _samples(calls: str | None) -> tuple[recording.Sample, ...] | None:
    if calls is None:
        return None
    try:
        text = sys.stdin.read() if calls == "-" else Path(calls).read_text("utf-8")
        return tuple(recording.read_samples(text, calls))
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{calls} cannot be read: {error}")
    except nexau.DefinitionError as error:
        stop(str(error))


async def _record(request: Request) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        for found in request.found:
            await _record_one(request, found)
        code = OK
    return code  # noqa: RET504 - a signal may end the block early


async def _record_one(request: Request, found: Found) -> None:
    load = recording.load()
    began = time.perf_counter()
    async with open_session(found) as session:
        seconds = time.perf_counter() - began
        chosen = recording.choose(session.tools, request.samples, found.name)
        if not chosen:
            raise nexau.DefinitionError(
                f"no calls for {found.name!r}: name a file of calls of its tools with --calls"
                if request.samples is None
                else f"{request.source} has no call of a tool of {found.name!r}"
            )
        tools = await _measured(session, chosen, request.plan, found.name)
        taken = _taken(request, found, session, seconds, load)
    path = _path(request, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_profile(path, Profile(SCHEMA, taken, tools))
    emit(msgspec.json.encode(_summary(found, path, tools)).decode())


async def _measured(
    session: "Connection",
    chosen: Mapping[str, list[recording.Sample]],
    plan: recording.Plan,
    server: str,
) -> tuple[ToolProfile, ...]:
    screen = console()
    if not screen.is_terminal:

        def told(tool: str, in_flight: int, done: int) -> None:
            if done:
                say(f"{server}: {tool}: {done} calls, {in_flight} in flight")

        return await recording.measure(session, chosen, plan, told)
    with Status(server, console=screen) as status:
        return await recording.measure(
            session,
            chosen,
            plan,
            lambda tool, in_flight, done: status.update(f"{server}: {tool}, {in_flight} in flight"),
        )


def _taken(
    request: Request, found: Found, session: "Connection", seconds: float, load: float
) -> Taken:
    info = session.server_info
    return Taken(
        date=recording.today(),
        server=found.given,
        name=info.name if info is not None else "",
        version=info.version if info is not None else "",
        protocol=session.protocol_version,
        transport="stdio" if isinstance(found.config, nexau.StdioServer) else "http",
        start_seconds=round(seconds, 3),
        machine=recording.machine(),
        cores=recording.cores(),
        load=(load, recording.load()),
        nexau=version("nexau"),
        calls=request.source,
        note=request.note,
    )


def _path(request: Request, found: Found) -> Path:
    name = f"{found.name}.profile.yaml"
    if request.out is None:
        return Path(name)
    out = Path(request.out)
    folder = len(request.found) > 1 or request.out.endswith("/") or out.is_dir()
    return out / name if folder else out


def _summary(found: Found, path: Path, tools: tuple[ToolProfile, ...]) -> dict[str, object]:
    return {
        "server": found.name,
        "profile": str(path),
        "tools": {
            tool.name: {
                "calls": tool.calls,
                "errors": [round(sum(it.rate for it in each.failures), 5) for each in tool.levels],
                "p50_ms": [it.ms[len(it.ms) // 2] if it.ms else None for it in tool.levels],
                "per_second": [level.per_second for level in tool.levels],
                "in_flight": [level.in_flight for level in tool.levels],
                "serializes": tool.serializes,
            }
            for tool in tools
        },
    }
