"""`nexau mcp pin`: approve the tools of an agent's servers as they are now."""

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.rows import show
from nexau.cli.serving import Found, open_session
from nexau.files.paths import is_file
from nexau.pins import Pins, read_pins, write_pins
from nexau.transports.listing import list_tools
from nexau.transports.vetting import Vetting, digest

PIN_EPILOG = """
Starts every server of AGENT and of its sub-agents, and writes a digest of each tool (its name,
descriptions, schemas and hints) to a file. A server with `pins: FILE` is used only while its tools
are as they stand there. Look at what is new or changed (`nexau mcp tools`) before you approve it:
each of them is one line of JSON on stdout.

**Examples**

`nexau mcp pin agent.yaml`

`nexau mcp pin agent.yaml --dry-run`

**Exit codes.** 0 done; with `--dry-run`, nothing would change · 1 a server could not be reached;
with `--dry-run`, something would change · 2 wrong input
"""


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    found: tuple[Found, ...]
    file: Path
    dry_run: bool


def pin(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent file.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Without it, pins.json beside the agent file."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Approve the tools of an agent's servers, by digest."""
    try:
        loaded = nexau.load_agent(agent)
    except nexau.DefinitionError as error:
        stop(str(error))
    found = tuple(_servers(loaded))
    if not found:
        stop(f"{agent} has no servers")
    request = Request(found, out or Path(agent).parent / "pins.json", dry_run)
    start(partial(_pin, request), backend=backend, log_level=log_level)


def _servers(agent: nexau.Agent) -> list[Found]:
    """Of an agent and of all below it, without the pins that they may have."""
    made: dict[str, Found] = {}
    waiting = [agent]
    while waiting:
        each = waiting.pop()
        waiting += each.agents
        for name, config in each.mcp_servers.items():
            free = msgspec.structs.replace(config, pins=None)
            found = Found(name, free, each.source)
            if made.setdefault(name, found).config != free:
                stop(
                    f"two agents have servers {name!r} that are not the same: give one another name"
                )
    return list(made.values())


async def _pin(request: Request) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        now = {found.name: await _digests(found) for found in request.found}
        before = read_pins(request.file) if is_file(request.file) else {}
        changes = _changes(before, now)
        show(changes)
        if request.dry_run:
            code = FAILED if changes else OK
        else:
            write_pins(request.file, {**before, **now})
            say(f"{sum(map(len, now.values()))} tools are pinned in {request.file}")
            code = OK
    return code


async def _digests(found: Found) -> dict[str, str]:
    async with open_session(found) as connection:
        vetting = Vetting(found.config.caps)
        return {tool.name: digest(tool) for tool in await list_tools(connection.session, vetting)}


def _changes(before: Pins, now: Pins) -> list[dict[str, str]]:
    changes: list[dict[str, str]] = []
    for server, tools in now.items():
        old = before.get(server, {})
        for tool in sorted({*tools, *old}):
            if tools.get(tool) != old.get(tool):
                kind = "new" if tool not in old else "gone" if tool not in tools else "changed"
                changes.append({"server": server, "tool": tool, "change": kind})
    return changes
