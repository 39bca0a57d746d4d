"""Servers as they are named on the command line, and sessions with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import typer.core

import nexau
from nexau.cli.exits import stop
from nexau.files.nearest import hint

if TYPE_CHECKING:
    from nexau.transports.connection import Connection


class Found(msgspec.Struct, frozen=True):
    """A server, and what it is called."""

    name: str
    config: nexau.StdioServer | nexau.HttpServer
    source: Path | None = None
    given: str = ""
    """As it was named."""


class WithCommand(typer.core.TyperCommand):
    """What stands after `--` is the server's command, whatever options are in it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


def find_server(given: str | None, command: list[str] | None, timeout: float | None) -> Found:
    """Ends the command where there is no such server."""
    if (given is None) == (not command):
        stop("name one server: FILE:NAME, a URL, or a command after --")
    found = _from_command(command) if command else _named(given or "")
    if timeout is None:
        return found
    config = msgspec.structs.replace(found.config, timeout=timeout, start_timeout=timeout)
    return msgspec.structs.replace(found, config=config)


def _from_command(command: list[str]) -> Found:
    config = nexau.StdioServer(command=command[0], args=tuple(command[1:]))
    return Found(Path(command[0]).name, config, given=" ".join(command))


def _named(given: str) -> Found:
    if given.startswith(("http://", "https://")):
        return Found(urlsplit(given).hostname or given, nexau.HttpServer(url=given), given=given)
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
    return Found(name, agent.mcp_servers[name], agent.source, given)


@asynccontextmanager
async def open_session(found: Found) -> AsyncIterator["Connection"]:
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
