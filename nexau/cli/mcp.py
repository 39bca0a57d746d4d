"""`nexau mcp`: any MCP server's tools, listed and called, as agents would see them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer
import typer.core

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, emit, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.rows import show
from nexau.cli.screen import console, plain, show_content, watched
from nexau.nearest import hint
from nexau.transports.protocol import Result, ToolSpec

if TYPE_CHECKING:
    from nexau.transports.connection import Connection

EPILOG = """
**SERVER** is `FILE:NAME`, a server of an agent file; or a URL; or, after `--`, a command.

**Examples**

`nexau mcp tools agent.yaml:files`

`nexau mcp tools https://example.com/mcp`

`nexau mcp tools -- npx -y @modelcontextprotocol/server-everything`

`nexau mcp call agent.yaml:files read_text_file '{"path": "README.md"}'`

`nexau mcp call echo '{"message": "hello"}' -- npx -y @modelcontextprotocol/server-everything`

**Exit codes.** 0 done · 1 the server could not be reached, or the tool answered with an error ·
2 wrong input
"""

Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.001, metavar="SECONDS", help="For the start and for the call; 60 if not set."
    ),
]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List and call the tools of a server.",
)


class Found(msgspec.Struct, frozen=True):
    """A server, and what it is called."""

    name: str
    config: nexau.StdioServer | nexau.HttpServer
    source: Path | None = None


class WithCommand(typer.core.TyperCommand):
    """What stands after `--` is the server's command, whatever options are in it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@app.command(cls=WithCommand, epilog=EPILOG)
def tools(
    ctx: typer.Context,
    server: Annotated[
        str | None, typer.Argument(metavar="[SERVER]", help="FILE:NAME or a URL, if no command.")
    ] = None,
    timeout: Timeout = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """List a server's tools, with the JSON Schema of their arguments."""
    found = _server(server, ctx.meta.get("command"), timeout)
    start(partial(_tools, found), backend=backend, log_level=log_level)


@app.command(cls=WithCommand, epilog=EPILOG)
def call(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVER] TOOL [JSON]",
            help="Arguments are a JSON object; - reads it from stdin, without it there are none.",
        ),
    ] = None,
    timeout: Timeout = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Call one tool."""
    command = ctx.meta.get("command")
    given = list(words or ())
    server = given.pop(0) if given and command is None else None
    if not 1 <= len(given) <= 2:
        stop("expected SERVER TOOL [JSON], or TOOL [JSON] -- COMMAND")
    found = _server(server, command, timeout)
    arguments = _arguments(given[1] if len(given) == 2 else "{}")
    start(partial(_call, found, given[0], arguments), backend=backend, log_level=log_level)


async def _tools(found: Found) -> int:
    specs: tuple[ToolSpec, ...] = ()
    code = INTERRUPTED
    async with obey_signals(grace=0), _session(found) as session:
        specs, code = session.tools, OK
    if watched():
        show([_row(spec) for spec in specs])
    else:
        show(msgspec.to_builtins(specs))
    return code


async def _call(found: Found, tool: str, arguments: dict[str, Any]) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        async with _session(found) as session:
            names = [spec.name for spec in session.tools]
            if tool not in names:
                raise nexau.DefinitionError(
                    f"server {found.name!r} has no tool {tool!r}{hint(tool, names, 'it has')}"
                )
            timeout = found.config.timeout
            result = await session.call(tool, arguments, call_id="cli", timeout=timeout)
        code = _show(result)
    return code  # noqa: RET504 - a signal may end the block early


def _show(result: Result) -> int:
    if watched():
        text = show_content(result.content)
        console().print(plain(text, "red" if result.is_error else ""), soft_wrap=True)
    else:
        emit(msgspec.json.encode(result).decode())
    return FAILED if result.is_error else OK


@asynccontextmanager
async def _session(found: Found) -> AsyncIterator["Connection"]:
    """As an agent's rollout would have it. Raises ToolsUnavailable."""
    agent = nexau.Agent(
        "mcp",
        nexau.PlanModel(),
        tools=(nexau.McpTools(found.name),),
        mcp_servers={found.name: found.config},
        source=found.source,
    )
    async with nexau.open_runtime() as runtime:
        (pool,) = (await runtime.prepare(agent)).servers
        session = await pool.acquire()
        try:
            if session.link.connection is None:
                raise nexau.ToolsUnavailable(f"server {found.name!r} went away")
            yield session.link.connection
        finally:
            await pool.release(session)


def _row(spec: ToolSpec) -> dict[str, str]:
    required = spec.parameters.get("required", ())
    names = spec.parameters.get("properties", {})
    return {
        "tool": spec.name,
        "arguments": ", ".join(name if name in required else f"[{name}]" for name in names),
        "description": spec.description.strip().partition("\n")[0],
    }


def _server(given: str | None, command: list[str] | None, timeout: float | None) -> Found:
    if (given is None) == (not command):
        stop("name one server: FILE:NAME, a URL, or a command after --")
    found = _from_command(command) if command else _named(given or "")
    if timeout is None:
        return found
    config = msgspec.structs.replace(found.config, timeout=timeout, start_timeout=timeout)
    return Found(found.name, config, found.source)


def _from_command(command: list[str]) -> Found:
    config = nexau.StdioServer(command=command[0], args=tuple(command[1:]))
    return Found(Path(command[0]).name, config)


def _named(given: str) -> Found:
    if given.startswith(("http://", "https://")):
        return Found(urlsplit(given).hostname or given, nexau.HttpServer(url=given))
    file, separator, name = given.rpartition(":")
    if not separator or not name:
        stop(f"no server {given!r}: expected FILE:NAME, a URL, or a command after --")
    try:
        agent = nexau.load_agent(file)
    except nexau.DefinitionError as error:
        stop(str(error))
    if name not in agent.mcp_servers:
        near = hint(name, agent.mcp_servers, "it has")
        stop(f"{file} has no server {name!r} in mcp_servers{near}")
    return Found(name, agent.mcp_servers[name], agent.source)


def _arguments(given: str) -> dict[str, Any]:
    text = sys.stdin.read() if given == "-" else given
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        stop(f"the tool's arguments are no JSON object: {error}")
