"""Catalogs: the tools of MCP servers in one file, with how to start each server.

Written by `nexau synth catalog`, read by `nexau synth agents`. Relative paths in a catalog start
at its own directory. The format is described in docs/agent-synthesis.md.
"""

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from nexau.definitions.servers import check_server
from nexau.definitions.structs import NAME_PATTERN
from nexau.definitions.values import HttpServer, Latency, Server, StdioServer
from nexau.files.formfile import open_form
from nexau.files.forms import fields
from nexau.files.nearest import hint
from nexau.files.paths import is_file
from nexau.files.problems import AgentFileError, Problem, clip, display, show
from nexau.files.yamlnodes import MAX_BYTES

SCHEMA = "nexau-catalog/1"
"""Readers of version 1 accept every minor addition."""
MAX_JSON_BYTES = 256_000_000


class Recorded(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a tool answered when it was measured, one call at a time."""

    ms: tuple[float, ...] = ()
    """Quantiles of the latency of calls that succeeded, at equal steps from the smallest to the
    largest, in milliseconds."""
    errors: float = 0.0
    """Share of the calls that failed, 0 to 1."""
    calls: int = 0
    """How many were measured."""


class CatalogTool(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool as its server lists it."""

    server: str
    """A name in `servers`."""
    name: str
    input: dict[str, Any]
    """JSON Schema of the arguments."""
    title: str = ""
    description: str = ""
    output: dict[str, Any] | None = None
    """JSON Schema of the structured result, where the server gives one."""
    annotations: dict[str, Any] = {}
    """MCP's hints (readOnlyHint, idempotentHint, ...)."""
    recorded: Recorded | None = None

    @property
    def key(self) -> str:
        """`server/name`, which no other tool of the catalog has."""
        return f"{self.server}/{self.name}"


class CatalogServer(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A server, and what it said of itself."""

    start: StdioServer | HttpServer
    """As under `mcp_servers` of an agent file."""
    name: str = ""
    version: str = ""
    protocol: str = ""
    """The MCP revision agreed on."""
    instructions: str = ""


class Catalog(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The tools of some MCP servers."""

    schema: str
    servers: dict[str, CatalogServer]
    tools: tuple[CatalogTool, ...]


def read_catalog(path: Path) -> Catalog:
    """Raises `AgentFileError`, a `DefinitionError`, with every problem of the file.

    YAML is read up to 1,000,000 bytes; JSON is meant for more.
    """
    if path.suffix == ".json" and is_file(path):
        found = _read_json(path)
        if found is not None:
            return found
    file = open_form(path)
    catalog = file.struct(Catalog)
    assert isinstance(catalog, Catalog)
    if not file.problems:
        for trail, message in faults(catalog, path.parent):
            file.complain(trail, message)
    file.settle()
    return catalog


def _read_json(path: Path) -> Catalog | None:
    """None for a faulty file that is small enough to be told line by line what is wrong with it."""
    where, size = display(path), path.stat().st_size
    if size > MAX_JSON_BYTES:
        message = f"more than {MAX_JSON_BYTES:,} bytes"
        raise AgentFileError([Problem(where, 0, 0, "", message)])
    try:
        catalog = _from_json(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        if size <= MAX_BYTES:
            return None
        raise AgentFileError([Problem(where, 0, 0, "", f"no catalog: {error}")]) from None
    found = [
        Problem(where, 0, 0, show(trail), message)
        for trail, message in faults(catalog, path.parent)
    ]
    if found and size <= MAX_BYTES:
        return None
    if found:
        raise AgentFileError(found)
    return catalog


def _from_json(data: bytes) -> Catalog:
    """msgspec takes no union of untagged Structs, so the servers are told apart here."""
    raw = msgspec.json.decode(data, type=_RawCatalog)
    servers: dict[str, CatalogServer] = {}
    for name, each in raw.servers.items():
        kind: Any = HttpServer if "url" in each.get("start", ()) else StdioServer
        start = msgspec.convert(each.pop("start", None), kind)
        rest = msgspec.convert({**each, "start": {}}, _RawServer)
        servers[name] = CatalogServer(
            start, rest.name, rest.version, rest.protocol, rest.instructions
        )
    return Catalog(raw.schema, servers, raw.tools)


class _RawServer(Struct, forbid_unknown_fields=True):
    start: dict[str, Any]
    name: str = ""
    version: str = ""
    protocol: str = ""
    instructions: str = ""


class _RawCatalog(Struct, forbid_unknown_fields=True):
    schema: str
    servers: dict[str, dict[str, Any]]
    tools: tuple[CatalogTool, ...]


def faults(catalog: Catalog, directory: Path) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong beyond the types: the path inside the catalog, and a message."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    if catalog.schema.partition(".")[0] != SCHEMA:
        found.append((("schema",), f"expected {SCHEMA}, got {clip(catalog.schema)}"))
    for name, server in catalog.servers.items():
        if not re.fullmatch(NAME_PATTERN, name):
            message = f"expected a letter or _, then up to 63 of A-Z a-z 0-9 _ -, got {clip(name)}"
            found.append((("servers", name), message))
        for steps, message in check_server(name, server.start, directory, None):
            found.append((("servers", name, "start", *steps), message))
    seen: dict[tuple[str, str], int] = {}
    for index, tool in enumerate(catalog.tools):
        if tool.server not in catalog.servers:
            near = hint(tool.server, catalog.servers, "there are")
            message = f"no server {clip(tool.server)} in servers{near}"
            found.append((("tools", index, "server"), message))
        if not tool.name:
            found.append((("tools", index, "name"), "expected text that is not empty"))
        if (tool.server, tool.name) in seen:
            message = f"the tool stands twice: see tools[{seen[tool.server, tool.name]}]"
            found.append((("tools", index, "name"), message))
        seen.setdefault((tool.server, tool.name), index)
        if tool.input.get("type", "object") != "object":
            found.append((("tools", index, "input", "type"), "expected object"))
    return found


def write_catalog(path: Path, catalog: Catalog) -> None:
    """As JSON where the name ends in .json, else as YAML. Raises OSError."""
    path.write_bytes(encode_catalog(catalog, json=path.suffix == ".json"))


def encode_catalog(catalog: Catalog, *, json: bool) -> bytes:
    made = msgspec.to_builtins(catalog)
    for name, server in catalog.servers.items():
        made["servers"][name]["start"] = brief(server.start)
    if json:
        return msgspec.json.format(msgspec.json.encode(made)) + b"\n"
    text = yaml.safe_dump(made, sort_keys=False, width=100, allow_unicode=True)
    return f"# Written by nexau synth catalog; see docs/agent-synthesis.md.\n{text}".encode()


def brief(value: Struct) -> dict[str, Any]:
    """`value` as a file would give it: without what is as by default."""
    made: dict[str, Any] = {}
    for field in fields(type(value)):
        given = getattr(value, field.name)
        if given != field.default:
            made[field.key] = brief(given) if isinstance(given, Struct) else given
    return msgspec.json.decode(msgspec.json.encode(made))  # type: ignore[no-any-return]


def moved(server: Server, origin: Path, target: Path) -> Server:
    """`server`, whose relative paths start at the directory `origin`, as a file of the directory
    `target` would have it: relative, so that the two can be moved together."""
    changed: dict[str, Any] = {}
    if server.cwd is not None:
        changed["cwd"] = _relative(origin / server.cwd, target)
    elif origin.resolve() != target.resolve() and _minds(server, origin):
        changed["cwd"] = _relative(origin, target)
    latency = server.latency
    if isinstance(latency, str):
        latency = Latency(latency)
    if latency is not None:
        profile = _relative(origin / latency.profile, target)
        changed["latency"] = msgspec.structs.replace(latency, profile=profile)
    return msgspec.structs.replace(server, **changed) if changed else server


def _relative(path: Path, target: Path) -> str:
    """Absolute where the two have nothing in common but the root."""
    there, here = path.resolve(), target.resolve()
    apart = there.parts[:2] != here.parts[:2]
    return str(there) if apart else os.path.relpath(there, here)


def _minds(server: Server, origin: Path) -> bool:
    """Whether its command line names something of the directory in which it is run."""
    words = [server.command or "", *server.args]
    return any(word and not word.startswith("-") and (origin / word).exists() for word in words)
