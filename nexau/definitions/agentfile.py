"""Agent files (docs/agents.md) to `Agent` values."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nexau.definitions.document import Documents
from nexau.definitions.parts import (
    Environ,
    Scope,
    Used,
    read_mcp,
    read_model,
    read_prompt,
    read_python,
    read_server,
)
from nexau.definitions.structs import AgentFile, AgentReference, McpEntry, PythonEntry
from nexau.definitions.values import Agent, McpTools, PythonTool
from nexau.files.forms import INVALID
from nexau.files.paths import is_file, missing
from nexau.files.placeholders import expand_env
from nexau.files.problems import AgentFileError, Problem, show

MAX_AGENTS = 1_000
"""In one tree."""
MAX_LEVELS = 32


def load_agent(path: str | Path) -> Agent:
    """The agent of a YAML or JSON file, with all that it names.

    Imports the Python modules of its tools. Raises `AgentFileError`, a `DefinitionError`, with
    every problem found. Environment variables are looked up when servers are opened, not here.
    """
    builder = _Builder(None)
    agent = builder.root(Path(path))
    if agent is None or builder.documents.problems:
        raise AgentFileError(builder.documents.sorted())
    return agent


def check_agent(path: str | Path, *, environ: Environ = os.environ) -> list[Problem]:
    """Every problem of an agent file and of those it names; runs nothing but imports.

    Variables that the file names and `environ` lacks are problems too; None looks none up.
    """
    builder = _Builder(environ)
    builder.root(Path(path))
    return builder.documents.sorted()


class _Builder:
    """Forms to agents, for one tree of files."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ
        self.documents = Documents()
        self._agents = 0
        self._blind = 0
        """Parts of the tree that could not be read: they might use any server."""

    def root(self, path: Path) -> Agent | None:
        document = self.documents.open(path)
        if document is None or document.form is None:
            return None
        return self.agent(document.form, Scope(document, chain=(document.path,)))

    def agent(self, form: AgentFile, scope: Scope) -> Agent:
        self._agents += 1
        blind = self._blind
        servers = {
            name: read_server(name, it, scope, self._environ)
            for name, it in form.mcp_servers.items()
        }
        own = {name: Used() for name in servers}
        inner = msgspec.structs.replace(
            scope,
            model=read_model(form, scope, self._environ),
            servers={**scope.servers, **own},
            levels=scope.levels + 1,
        )
        for key in ("tools", "agents"):
            self._blind += scope.gives(key) and not scope.document.is_list(scope.at(key))
        tools = self._tools(form, inner)
        agents = self._children(form, inner)
        self._check_names(tools, agents, inner)
        if form.supervision.backoff.min > form.supervision.backoff.max:
            scope.complain("min is greater than max", "supervision", "backoff")
        for name, server in own.items():
            if not server.used and self._blind == blind:
                scope.complain("no agent uses this server", "mcp_servers", name)
        return Agent(
            name=form.name,
            model=inner.model,
            description=form.description,
            system_prompt=read_prompt(form, scope),
            tools=tuple(tools.values()),
            agents=tuple(agents.values()),
            mcp_servers={name: server for name, server in servers.items() if server is not None},
            limits=form.limits,
            supervision=form.supervision,
            source=scope.document.path,
        )

    def _tools(self, form: AgentFile, scope: Scope) -> dict[int, McpTools | PythonTool]:
        """By their place in the list."""
        tools: dict[int, McpTools | PythonTool] = {}
        for index, entry in enumerate(form.tools):
            made: McpTools | PythonTool | None = None
            if entry is INVALID:
                self._blind += 1
            elif isinstance(entry, McpEntry):
                self._blind += not entry.mcp
                made = read_mcp(entry, scope, index)
            elif isinstance(entry, PythonEntry):
                made = read_python(entry, scope, ("tools", index, "python"))
            else:
                made = read_python(PythonEntry(entry), scope, ("tools", index))
            if made is not None:
                tools[index] = made
        return tools

    def _children(self, form: AgentFile, scope: Scope) -> dict[int, Agent]:
        """By their place in the list."""
        agents: dict[int, Agent] = {}
        for index, entry in enumerate(form.agents):
            child: Agent | None = None
            if self._agents >= MAX_AGENTS or scope.levels >= MAX_LEVELS:
                scope.complain(f"more than {MAX_AGENTS:,} agents or {MAX_LEVELS} levels", "agents")
                break
            if isinstance(entry, str):
                child = self._reference(AgentReference(entry), scope, ("agents", index))
            elif isinstance(entry, AgentReference):
                child = self._reference(entry, scope, ("agents", index, "path"))
            elif isinstance(entry, AgentFile):
                below = msgspec.structs.replace(scope, trail=scope.at("agents", index))
                child = self.agent(entry, below)
            if child is None:
                self._blind += 1
            else:
                agents[index] = child
        return agents

    def _reference(
        self, entry: AgentReference, scope: Scope, steps: tuple[str | int, ...]
    ) -> Agent | None:
        if not entry.path:
            return None
        path = scope.resolve(entry.path)
        if not is_file(path):
            scope.complain(missing(path), *steps)
            return None
        resolved = Path(os.path.realpath(path))
        if resolved in scope.chain:
            circle = (*scope.chain[scope.chain.index(resolved) :], resolved)
            scope.complain(f"a cycle: {' -> '.join(each.name for each in circle)}", *steps)
            return None
        document = self.documents.open(path)
        if document is None or document.form is None:
            return None
        form = document.form
        if entry.name is not None:
            form = msgspec.structs.replace(form, name=entry.name)
        if entry.description is not None:
            form = msgspec.structs.replace(form, description=entry.description)
        below = msgspec.structs.replace(
            scope, document=document, trail=(), chain=(*scope.chain, resolved)
        )
        return self.agent(form, below)

    def _check_names(
        self, tools: Mapping[int, McpTools | PythonTool], agents: Mapping[int, Agent], scope: Scope
    ) -> None:
        """Tools and sub-agents are called by the same kind of name."""
        taken: dict[str, str] = {}
        named: list[tuple[str, str, int]] = [
            (tool.spec.name, "tools", index)
            for index, tool in tools.items()
            if isinstance(tool, PythonTool)
        ]
        named += [(agent.name, "agents", index) for index, agent in agents.items() if agent.name]
        for name, key, index in named:
            place = show(scope.at(key, index))
            if name in taken:
                scope.complain(f"the name {name!r} is taken by {taken[name]}", key, index)
            taken.setdefault(name, place)


__all__ = ["AgentFileError", "Problem", "check_agent", "expand_env", "load_agent"]
