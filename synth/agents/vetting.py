"""A generated file is untrusted: what it may hold, and nothing else.

It may name tools of its catalog. It may not bind Python, name files, use a model that the user did
not, nor start a server in any way but the catalog's. What a model wrote is written to a file first
and then read through here, so nothing that it wrote escapes this.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from nexau.definitions.prompts import compile_prompt
from nexau.definitions.structs import AgentFile, McpEntry
from nexau.definitions.values import DefinitionError, Prompt, Server
from nexau.files.formfile import FormFile, open_form
from nexau.files.forms import INVALID
from nexau.files.nearest import hint
from nexau.files.problems import AgentFileError, Problem, Trail, clip
from nexau.synth.agents.agentwriter import exact
from nexau.synth.agents.catalog import Catalog

LITERAL = "{{ '{' }}"
"""The only template in a generated prompt: a brace that is none."""


def vet(
    path: Path, catalog: Catalog, servers: Mapping[str, Server], models: Collection[Any] = ("plan",)
) -> list[Problem]:
    """Everything that a generated agent file must not hold, by line; empty for one that may be run.

    `servers` are those of the catalog as a file in this folder has them; `models` are what the user
    allowed, as they stand in files.
    """
    try:
        file = open_form(path)
        form = file.struct(AgentFile)
    except AgentFileError as error:
        return list(error.problems)
    assert isinstance(form, AgentFile)
    tools = {name: {exact(tool.name) for tool in catalog.tools if tool.server == name}
             for name in catalog.servers}  # fmt: skip
    for trail, message in _faults(file, form, (), tools, servers, list(models)):
        file.complain(trail, message)
    return sorted(set(file.problems), key=lambda each: (each.line, each.column))


def _faults(
    file: FormFile,
    form: AgentFile,
    at: Trail,
    tools: Mapping[str, Collection[str]],
    servers: Mapping[str, Server],
    models: list[Any],
) -> Iterator[tuple[Trail, str]]:
    if not (at and form.model is None) and form.model not in models:
        yield (*at, "model"), "not the model that was allowed"
    yield from _prompt_faults(form, at)
    for index, entry in enumerate(form.tools):
        if isinstance(entry, McpEntry):
            yield from _tool_faults(entry, (*at, "tools", index), tools)
        elif entry is not INVALID:
            yield (*at, "tools", index), "a generated file may not bind Python"
    yield from _server_faults(form, at, servers)
    for index, child in enumerate(form.agents):
        if isinstance(child, AgentFile):
            yield from _faults(file, child, (*at, "agents", index), tools, servers, models)
        elif child is not INVALID:
            yield (*at, "agents", index), "a generated file may not name other files"


def _server_faults(
    form: AgentFile, at: Trail, servers: Mapping[str, Server]
) -> Iterator[tuple[Trail, str]]:
    for name, server in form.mcp_servers.items():
        if name not in servers:
            near = hint(name, servers, "there are")
            yield (*at, "mcp_servers", name), f"no server {clip(name)} in the catalog{near}"
        elif server is not INVALID and server != servers[name]:
            yield (*at, "mcp_servers", name), "not started as the catalog says"


def _prompt_faults(form: AgentFile, at: Trail) -> Iterator[tuple[Trail, str]]:
    prompt = form.system_prompt
    if not isinstance(prompt, str):
        yield (*at, "system_prompt"), "a generated file may not name other files"
        return
    if re.search(r"\{[{%#]", prompt.replace(LITERAL, "")):
        yield (*at, "system_prompt"), "a generated prompt is no template"
        return
    try:
        compile_prompt(Prompt(prompt))
    except DefinitionError as error:
        yield (*at, "system_prompt"), str(error)


def _tool_faults(
    entry: McpEntry, at: Trail, tools: Mapping[str, Collection[str]]
) -> Iterator[tuple[Trail, str]]:
    if entry.mcp not in tools:
        yield (*at, "mcp"), f"no server {clip(entry.mcp)} in the catalog{hint(entry.mcp, tools)}"
        return
    known = tools[entry.mcp]
    for place, name in enumerate(entry.include):
        if name not in known and name is not INVALID:
            near = hint(name, known)
            message = f"no tool {clip(name)} of {entry.mcp} in the catalog{near}"
            yield (*at, "include", place), message
