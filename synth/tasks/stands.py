"""Where tasks come from, by reference: world files and servers of catalogs, and the agent that
stands before all of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import (
    Agent,
    DefinitionError,
    McpTools,
    PlanModel,
    Pool,
    Prompt,
    Server,
    StdioServer,
)
from nexau.files.nearest import hint
from nexau.synth.agents.catalog import brief, moved, read_catalog
from nexau.synth.agents.fromworld import RESET, is_world, list_world
from nexau.synth.tasks.judge import served_by
from nexau.transports.protocol import Limits

STEPS = 80
"""Of one rollout of the agent: more than any gold plan has turns."""
PROMPT = "You do what the user asks for with the tools that you have. You say so when you cannot."


class Stand(Struct, frozen=True):
    """One source, by reference: all that a process needs to know of it."""

    name: str
    world: str = ""
    """The world's file; empty for an outside server."""
    rows: int | None = None
    """Of the world: scaled to about so many."""
    seed: int | None = None
    """Of the world's rows; None: its own."""
    catalog: str = ""
    """The catalog that has the server."""


def stands_of(files: Sequence[Path], rows: int | None) -> list[Stand]:
    """The sources that files hold: worlds, and catalogs with a source for each of their servers.

    Raises `DefinitionError` for a file that is neither, and for two sources of one name.
    """
    found: list[Stand] = []
    for file in files:
        if _is_catalog(file):
            found += _of_catalog(file, rows)
        elif is_world(file) or not file.is_file() or len(files) == 1:
            found.append(Stand(list_world(file, file.parent).source.name, str(file), rows))
        else:
            raise DefinitionError(f"{file}: expected a world, or a catalog of MCP servers")
    names = [stand.name for stand in found]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"two of the sources are called {name!r}")
    return found


def unknown_tool(stands: Sequence[Stand], name: str) -> str:
    """Why `name` names no tool of the outside servers; empty where it does."""
    known: list[str] = []
    for file in dict.fromkeys(stand.catalog for stand in stands if not stand.world):
        names = {stand.name for stand in stands if stand.catalog == file}
        tools = [tool for tool in read_catalog(Path(file)).tools if tool.server in names]
        known += [each for tool in tools for each in (tool.name, tool.key)]
    if name in known:
        return ""
    if not known:
        return "worlds need none: it is for tools of outside servers"
    return f"no tool {name!r}{hint(name, known, 'there are')}"


def _is_catalog(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return b"nexau-catalog/" in opened.read(2000)


def _of_catalog(file: Path, rows: int | None) -> list[Stand]:
    made: list[Stand] = []
    for name, server in read_catalog(file).servers.items():
        served = served_by(server.start, file.parent)
        if served is None:
            made.append(Stand(name, catalog=str(file)))
        else:
            world, seed, own = served
            made.append(Stand(name, world, own if rows is None else rows, seed, str(file)))
    return made


def server_of(stand: Stand, folder: Path) -> Server:
    """The server that a rollout starts, for an agent file in `folder`. Worlds answer at once, and
    do not fail as their profile says: it is the plan that is checked.
    """
    if stand.catalog:
        file = Path(stand.catalog)
        server = moved(read_catalog(file).servers[stand.name].start, file.parent, folder)
        return server if not stand.world else _quick(server, [])
    options = [] if stand.rows is None else ["--rows", str(stand.rows)]
    entry = list_world(Path(stand.world), folder).entry
    assert entry is not None
    return _quick(entry.start, options)


def piped(server: Server) -> Server:
    """The same world over stdio: one process and one state, made as new between rollouts, where a
    session over HTTP would be opened for each.
    """
    args = list(server.args)
    for name, values in (("--http", 0), ("--port", 1)):
        if name in args:
            at = args.index(name)
            del args[at : at + 1 + values]
    assert server.command is not None
    return StdioServer(
        command=server.command, args=tuple(args), cwd=server.cwd, env=server.env,
        sessions="rollout", reset=RESET, pool=Pool(max=1),
    )  # fmt: skip


def _quick(server: Server, options: list[str]) -> Server:
    args = [*server.args, *options]
    if "--no-latency" not in args:
        args.append("--no-latency")
    return replace(server, args=tuple(args))


def agent_of(stands: Sequence[Stand], folder: Path) -> Agent:
    """An agent with the tools of all sources, that plays gold plans."""
    return Agent(
        "desk",
        PlanModel(),
        system_prompt=Prompt(PROMPT),
        tools=tuple(McpTools(stand.name) for stand in stands),
        mcp_servers={stand.name: server_of(stand, folder) for stand in stands},
        limits=Limits(steps=STEPS),
        source=folder / "desk.yaml",
    )


def agent_yaml(agent: Agent) -> bytes:
    """The file of an agent that `agent_of` made."""
    servers: Mapping[str, Any] = {name: brief(each) for name, each in agent.mcp_servers.items()}
    form = {
        "name": agent.name,
        "description": "Has the tools of all servers that its tasks need, and of others.",
        "model": "plan",
        "system_prompt": PROMPT,
        "tools": [{"mcp": name} for name in servers],
        "mcp_servers": servers,
        "limits": {"steps": STEPS},
    }
    text = yaml.safe_dump(msgspec.to_builtins(form), sort_keys=False, width=100, allow_unicode=True)
    return f"# Written by nexau synth tasks; see docs/tasks.md.\n{text}".encode()
