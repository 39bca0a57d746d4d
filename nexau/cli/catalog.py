"""`nexau synth catalog`: the tools of real servers, stored."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.rows import show
from nexau.cli.serving import WithCommand, find_server
from nexau.files.paths import is_dir, is_file, missing
from nexau.synth.agents.catalog import write_catalog
from nexau.synth.agents.collect import (
    Listed,
    Source,
    catalog_of,
    list_source,
    match_profiles,
    named,
)
from nexau.synth.agents.fromworld import is_world, list_world

EPILOG = """
**SERVER** is `FILE:NAME`, a server of an agent file; or an agent file, for all servers that it and
its sub-agents declare; or a world, which is read without being served; or a URL; or, after `--`, a
command.

**Examples**

`nexau synth catalog examples/servers/several.yaml https://example.com/mcp --out tools.yaml`

`nexau synth catalog --name files -- npx -y @modelcontextprotocol/server-filesystem .`

`nexau mcp record agent.yaml:git --out git.profile.yaml`, then
`nexau synth catalog agent.yaml:git --profile git.profile.yaml`

stdout gets one line of JSON for each server.

**Exit codes.** 0 done · 1 a server could not be reached · 2 wrong input · 130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    sources: tuple[Source, ...]
    worlds: tuple[Path, ...]
    profiles: tuple[Path, ...]
    out: Path
    skip_failing: bool


@app.command(cls=WithCommand, epilog=EPILOG)
def catalog(
    ctx: typer.Context,
    servers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVER...]", help="FILE:NAME, FILE or a URL, if no command."),
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FILE", help="The catalog: YAML, or JSON for a name in .json.")
    ] = "catalog.yaml",
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Latencies that `nexau mcp record` wrote; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the only server is called, in place of its own name.")
    ] = None,
    skip_failing: Annotated[
        bool, typer.Option("--skip-failing", help="Leave out servers that cannot be listed.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="For the start; 60 if unset.")
    ] = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Connect to servers, list their tools, and store them in one file."""
    worlds = tuple(Path(each) for each in servers or () if is_world(Path(each)))
    rest = [each for each in servers or () if Path(each) not in worlds]
    command = ctx.meta.get("command")
    sources = list(find_sources(rest, command, timeout)) if rest or command or not worlds else []
    if name is not None:
        if len(sources) != 1:
            stop(f"--name is for one server; these are {len(sources)}")
        sources = [msgspec.structs.replace(sources[0], name=name)]
    target = Path(out)
    if not is_dir(target.parent):
        stop(f"--out: no directory {target.parent}")
    paths = tuple(Path(each) for each in profile or ())
    request = Request(tuple(named(sources)), worlds, paths, target, skip_failing)
    start(partial(_catalog, request), backend=backend, log_level=log_level)


_FILES = frozenset({".yaml", ".yml", ".json"})


def find_sources(
    given: list[str], command: list[str] | None, timeout: float | None
) -> Iterator[Source]:
    """The servers that words of a command line name. Ends the command where there is none."""
    if command is not None or not given:
        given = [*given] if command is None else given
        found = find_server(given[0] if given else None, command, timeout)
        yield Source(_plain(found.name), found.config, Path.cwd())
        return
    for each in given:
        if Path(each).suffix in _FILES and not is_file(Path(each)):
            stop(missing(Path(each)))
        if each.startswith(("http://", "https://")) or not is_file(Path(each)):
            found = find_server(each, None, timeout)
            folder = found.source.parent if found.source is not None else Path.cwd()
            yield Source(_plain(found.name), found.config, folder)
        else:
            yield from _of_file(each, timeout)


def _of_file(file: str, timeout: float | None) -> Iterator[Source]:
    """All servers of an agent file, those of its sub-agents too."""
    try:
        agent = nexau.load_agent(file)
    except nexau.DefinitionError as error:
        stop(str(error))
    found = list(_of_agent(agent))
    if not found:
        stop(f"{file} has no mcp_servers")
    for source in found:
        if timeout is not None:
            server = msgspec.structs.replace(source.server, timeout=timeout, start_timeout=timeout)
            source = msgspec.structs.replace(source, server=server)
        yield source


def _of_agent(agent: nexau.Agent) -> Iterator[Source]:
    folder = agent.source.parent if agent.source is not None else Path.cwd()
    for name, server in agent.mcp_servers.items():
        yield Source(name, server, folder)
    for child in agent.agents:
        yield from _of_agent(child)


def _plain(name: str) -> str:
    """As a name of an agent file may be: `mcp.example.com` becomes `mcp_example_com`."""
    made = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
    return made if made[:1].isalpha() or made[:1] == "_" else f"_{made[:63]}"


async def _catalog(request: Request) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        code = await _collect(request)
    return code  # noqa: RET504 - a signal may end the block early


async def _collect(request: Request) -> int:
    listed: list[Listed | None] = [None] * len(request.sources)
    limiter = anyio.CapacityLimiter(16)

    async def collect(index: int, source: Source) -> None:
        async with limiter:
            listed[index] = await list_source(source, request.out.parent)

    async with anyio.create_task_group() as group:
        for index, source in enumerate(request.sources):
            group.start_soon(collect, index, source)
    worlds = [list_world(path, request.out.parent) for path in request.worlds]
    done = [*worlds, *(each for each in listed if each is not None)]
    names = [each.source.name for each in done]
    if len(set(names)) < len(names):
        raise nexau.DefinitionError(f"two servers have one name: {', '.join(sorted(names))}")
    failing = [each for each in done if each.error]
    for each in failing:
        say(f"error: {each.error}")
    if len(failing) == len(done) or (failing and not request.skip_failing):
        return FAILED
    made = catalog_of(done, match_profiles(done, request.profiles))
    write_catalog(request.out, made)
    show([_row(each, request.out) for each in done if not each.error])
    return OK


def _row(listed: Listed, out: Path) -> dict[str, Any]:
    return {
        "server": listed.source.name,
        "tools": len(listed.tools),
        "with_output_schema": sum(tool.output is not None for tool in listed.tools),
        "read_only": sum(tool.annotations.get("readOnlyHint") is True for tool in listed.tools),
        "seconds": round(listed.seconds, 3),
        "catalog": str(out),
    }
