"""`nexau mcp`: any MCP server's tools, listed, called and measured, as agents would see them."""

import sys
from functools import partial
from typing import Annotated, Any

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, INTERRUPTED, OK, emit, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.pin import PIN_EPILOG, pin
from nexau.cli.program import start
from nexau.cli.record import COMPARE_EPILOG, RECORD_EPILOG, compare, record
from nexau.cli.rows import show
from nexau.cli.screen import console, plain, show_content, watched
from nexau.cli.serving import Found, WithCommand, find_server, open_session
from nexau.files.nearest import hint
from nexau.transports.protocol import Result, ToolSpec

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
    help="List, call and measure the tools of a server.",
)


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
    found = find_server(server, ctx.meta.get("command"), timeout)
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
    found = find_server(server, command, timeout)
    arguments = _arguments(given[1] if len(given) == 2 else "{}")
    start(partial(_call, found, given[0], arguments), backend=backend, log_level=log_level)


async def _tools(found: Found) -> int:
    specs: tuple[ToolSpec, ...] = ()
    code = INTERRUPTED
    async with obey_signals(grace=0), open_session(found) as session:
        specs, code = session.tools, OK
    if watched():
        show([_row(spec) for spec in specs])
    else:
        show(msgspec.to_builtins(specs))
    return code


async def _call(found: Found, tool: str, arguments: dict[str, Any]) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        async with open_session(found) as session:
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


def _row(spec: ToolSpec) -> dict[str, str]:
    required = spec.parameters.get("required", ())
    names = spec.parameters.get("properties", {})
    return {
        "tool": spec.name,
        "arguments": ", ".join(name if name in required else f"[{name}]" for name in names),
        "description": spec.description.strip().partition("\n")[0],
    }


def _arguments(given: str) -> dict[str, Any]:
    text = sys.stdin.read() if given == "-" else given
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        stop(f"the tool's arguments are no JSON object: {error}")


app.command(epilog=PIN_EPILOG)(pin)
app.command(cls=WithCommand, epilog=RECORD_EPILOG)(record)
app.command(epilog=COMPARE_EPILOG)(compare)
