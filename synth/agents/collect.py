"""Catalogs from live servers: each is started as a rollout would start it, and asked for its
tools."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import Agent, DefinitionError, McpTools, PlanModel, Server
from nexau.latency.profiles import FEW_POINTS, Level, Profile, ToolProfile, quantiles, read_profile
from nexau.latency.replayed import clock
from nexau.runtime import open_runtime
from nexau.servers import ToolsUnavailable
from nexau.synth.agents.catalog import SCHEMA, Catalog, CatalogServer, CatalogTool, Recorded, moved
from nexau.transports.connection import Connection
from nexau.transports.listing import list_tools


class Source(Struct, frozen=True):
    """A server to be listed."""

    name: str
    server: Server
    directory: Path
    """Where its relative paths start."""


class Listed(Struct, frozen=True):
    """What became of a source."""

    source: Source
    entry: CatalogServer | None
    tools: tuple[CatalogTool, ...] = ()
    seconds: float = 0.0
    """From the launch to the list of tools."""
    error: str = ""


def named(sources: Sequence[Source]) -> list[Source]:
    """The sources with names that are all different: the second `files` becomes `files_2`."""
    taken: set[str] = set()
    made: list[Source] = []
    for source in sources:
        name, number = source.name, 1
        while name in taken:
            number += 1
            name = f"{source.name}_{number}"
        taken.add(name)
        made.append(replace(source, name=name))
    return made


async def list_source(source: Source, target: Path) -> Listed:
    """Starts one server and lists its tools. Its entry is written for a catalog in `target`."""
    agent = Agent(
        "catalog",
        PlanModel(),
        tools=(McpTools(source.name),),
        mcp_servers={source.name: source.server},
        source=source.directory / "catalog",
    )
    now = clock()
    began = now()
    try:
        async with open_runtime() as runtime:
            (pool,) = (await runtime.prepare(agent)).servers
            session = await pool.acquire()
            try:
                connection = session.link.connection
                if connection is None:
                    raise ToolsUnavailable(f"server {source.name!r} went away")
                seconds = now() - began
                tools = await _tools(source, connection)
            finally:
                await pool.release(session)
    except ToolsUnavailable as error:
        return Listed(source, None, error=str(error))
    return Listed(source, _entry(source, connection, target), tools, seconds)


async def _tools(source: Source, connection: Connection) -> tuple[CatalogTool, ...]:
    """All but the one that resets the server, which is the runtime's own."""
    return tuple(
        CatalogTool(
            server=source.name,
            name=tool.name,
            input=tool.input_schema,
            title=tool.title or "",
            description=(tool.description or "").strip(),
            output=tool.output_schema,
            annotations=(
                tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True)
                if tool.annotations is not None
                else {}
            ),
        )
        for tool in await list_tools(connection.session)
        if tool.name != source.server.reset
    )


def _entry(source: Source, connection: Connection, target: Path) -> CatalogServer:
    info = connection.server_info
    return CatalogServer(
        start=moved(source.server, source.directory, target),
        name=info.name if info is not None else "",
        version=info.version if info is not None else "",
        protocol=connection.protocol_version,
        instructions=connection.session.instructions or "",
    )


def catalog_of(listed: Sequence[Listed], profiles: Mapping[str, Profile]) -> Catalog:
    """One catalog of all that could be listed; `profiles` are by the name of the source."""
    servers: dict[str, CatalogServer] = {}
    tools: list[CatalogTool] = []
    for each in listed:
        if each.entry is None:
            continue
        servers[each.source.name] = each.entry
        profile = profiles.get(each.source.name) or _own_profile(each.source)
        tools += [with_latency(tool, profile) if profile else tool for tool in each.tools]
    return Catalog(SCHEMA, servers, tuple(tools))


def match_profiles(listed: Sequence[Listed], paths: Sequence[Path]) -> dict[str, Profile]:
    """Profiles by source: NAME.profile.yaml goes to the server NAME, any other to the server that
    calls itself what the profile says. Raises `DefinitionError` for one that fits none."""
    matched: dict[str, Profile] = {}
    for path in paths:
        profile = read_profile(path)
        stem = path.name.partition(".")[0]
        fits = [each.source.name for each in listed if each.source.name == stem] or [
            each.source.name
            for each in listed
            if each.entry is not None and each.entry.name == profile.taken.name
        ]
        if not fits:
            raise DefinitionError(
                f"{path.name} is a profile of {profile.taken.name!r}, which is none of the servers"
            )
        matched |= dict.fromkeys(fits, profile)
    return matched


def _own_profile(source: Source) -> Profile | None:
    latency = source.server.latency
    if latency is None:
        return None
    file = latency if isinstance(latency, str) else latency.profile
    return read_profile(source.directory / file)


def with_latency(tool: CatalogTool, profile: Profile | None) -> CatalogTool:
    """The tool, with what a profile recorded of it."""
    found = profile.tool(tool.name) if profile is not None else None
    return tool if found is None else replace(tool, recorded=_recorded(found))


def _recorded(profile: ToolProfile) -> Recorded:
    level: Level = profile.levels[0]
    errors = round(sum(each.rate for each in level.failures), 5)
    return Recorded(quantiles(level.ms, FEW_POINTS), min(errors, 1.0), level.calls)
