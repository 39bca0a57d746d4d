"""What a run depends on, as hashes: its agent files and all that they refer to."""

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nexau.definitions.prompts import included
from nexau.definitions.values import (
    Agent,
    HttpServer,
    Latency,
    McpTools,
    OpenAIModel,
    PlanModel,
    PythonTool,
    ReplayModel,
    ScriptModel,
    Server,
    StdioServer,
)
from nexau.prepare import Prepared

PACKAGES = ("nexau", "anyio", "mcp", "msgspec", "uvloop", "trio")


def versions() -> dict[str, str]:
    """Of Python, of the system and of the packages that matter to a run."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    known = ((name, _version(name)) for name in PACKAGES)
    return found | {name: version for name, version in known if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    # Half a millisecond each, and a process may make many runs.
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def files_of(agent: Agent) -> dict[str, str]:
    """SHA-256 of every file that the agent was made from, by its path from the agent's folder.

    Agent files, prompts and what they include, scripts and recorded turns, latency profiles, the
    Python modules of tools and their neighbours, and files named by servers' arguments.
    """
    root = agent.source.parent if agent.source is not None else Path.cwd()
    found: dict[str, str] = {}
    for path in dict.fromkeys(_paths(agent)):
        try:
            resolved = path.resolve()
            if resolved.is_file():
                digest = hashlib.sha256(resolved.read_bytes()).hexdigest()
                found[os.path.relpath(resolved, root.resolve())] = digest
        except OSError:
            found[str(path)] = "cannot be read"
    return dict(sorted(found.items()))


def _paths(agent: Agent) -> Iterator[Path]:
    base = agent.source.parent if agent.source is not None else Path.cwd()
    if agent.source is not None:
        yield agent.source
    if agent.system_prompt.source is not None:
        yield Path(agent.system_prompt.source)
    yield from included(agent.system_prompt)
    if isinstance(agent.model, ScriptModel | ReplayModel):
        yield base / agent.model.file
    for server in agent.mcp_servers.values():
        yield from _of_server(server, base)
    for tool in agent.tools:
        if isinstance(tool, PythonTool):
            yield from _of_function(tool)
    for child in agent.agents:
        yield from _paths(child)


def _of_server(server: Server, base: Path) -> Iterator[Path]:
    if server.latency is not None:
        profile = server.latency.profile if isinstance(server.latency, Latency) else server.latency
        yield base / profile
    where = base / server.cwd if server.cwd is not None else base
    words = (server.command, *server.args)
    for word in words:
        if word and ("." in word or "/" in word) and len(word) < 1000 and "\0" not in word:
            yield where / word


def _of_function(tool: PythonTool) -> Iterator[Path]:
    module = inspect.getmodule(tool.function)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return
    yield Path(file)
    # Modules beside an agent file are loaded as members of a package of their own.
    package = module.__name__.partition(".")[0]
    if package.startswith("nexau_folder_"):
        for name, other in tuple(sys.modules.items()):
            beside = getattr(other, "__file__", None)
            if name.startswith(f"{package}.") and beside is not None:
                yield Path(beside)


def definition_of(agent: Agent) -> str:
    """SHA-256 of the definition itself, which is all there is of an agent made in code."""
    encoded = msgspec.json.encode(_plain(agent), order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def _plain(agent: Agent) -> dict[str, Any]:
    model = agent.model
    config = isinstance(model, OpenAIModel | PlanModel | ScriptModel | ReplayModel)
    return {
        "name": agent.name,
        "description": agent.description,
        "model": _config(model) if config else type(model).__qualname__,
        "prompt": agent.system_prompt.text,
        "tools": [_tool(tool) for tool in agent.tools],
        "agents": [_plain(child) for child in agent.agents],
        "servers": {name: _config(each) for name, each in agent.mcp_servers.items()},
        "limits": msgspec.to_builtins(agent.limits),
    }


def _config(value: Any) -> dict[str, Any]:
    """Without paths, which differ where the run is moved: `files_of` has what is in them."""
    # Without what is by default, so that a later version's new keys change nothing.
    plain: dict[str, Any] = {
        field.name: msgspec.to_builtins(getattr(value, field.name))
        for field in msgspec.structs.fields(value)
        if getattr(value, field.name) != field.default
    }
    if isinstance(value, ScriptModel | ReplayModel):
        plain.pop("file", None)
    if isinstance(value, StdioServer | HttpServer):
        plain.pop("cwd", None)
        plain.pop("latency", None)
    return plain


def _tool(tool: McpTools | PythonTool) -> Any:
    if isinstance(tool, McpTools):
        return msgspec.to_builtins(tool)
    return {"spec": msgspec.to_builtins(tool.spec), "binding": tool.binding}


def tools_of(prepared: Prepared) -> str:
    """SHA-256 of the tools as the agents are offered them."""
    return hashlib.sha256(msgspec.json.encode(prepared.records)).hexdigest()


def differences(recorded: dict[str, str], now: dict[str, str]) -> list[str]:
    """What has become of files, one line each."""
    told = [
        f"{name} has changed" if name in now else f"{name} is not used any more"
        for name, digest in recorded.items()
        if now.get(name) != digest
    ]
    return told + [f"{name} is new" for name in now if name not in recorded]
