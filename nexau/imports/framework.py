"""Frameworks (`agents`, `llm_configs`, `tools`, `workflow`, `mcp_servers` in one file) as a tree of
agents.

The workflow's edges from agent to agent say who calls whom, beginning with the entrance agent. An
agent that several call is a sub-agent of the first to reach it.
"""

import os
from pathlib import Path
from typing import Any

from nexau.definitions.values import DefinitionError
from nexau.files.paths import is_file, missing
from nexau.files.problems import display
from nexau.imports.bridge import Bridge
from nexau.imports.parts import model_of, servers_of, tool_of
from nexau.imports.report import Converted, Import, unknown
from nexau.imports.values import plain_name, read_mapping
from nexau.imports.writing import agent_text

KNOWN = ("framework", "framework_name", "framework_entrance_agent", "agents", "llm_configs",
         "tools", "workflow", "mcp_servers", "variables")  # fmt: skip
_AGENT = ("agent_name", "description", "description_en", "description_zh", "capabilities",
          "sysprompt_path", "system_prompt", "llm_config", "tools", "mcp_servers")  # fmt: skip


def is_framework(value: dict[str, Any]) -> bool:
    agents = value.get("agents")
    named = isinstance(agents, list) and any(
        isinstance(each, dict) and "agent_name" in each for each in agents
    )
    return named or "llm_configs" in value


def import_framework(path: Path, out: Path) -> Import:
    """Converts a framework into one agent file of `out`; writes nothing. Raises `DefinitionError`
    where there is no agent to begin with."""
    given = read_mapping(path)
    report = Import([], [])
    unknown(report, path, (), given, KNOWN)
    framework = _Framework(given, path, out, report)
    made = framework.tree()
    report.root = f"{made['name']}.yaml"
    report.files.append(Converted(report.root, agent_text(made, path, report)))
    report.files += framework.bridge.files()
    return report


class _Framework:
    def __init__(self, given: dict[str, Any], path: Path, out: Path, report: Import) -> None:
        self._path = path
        self._out = out
        self._report = report
        self._agents = self._named(given, "agents", "agent_name")
        self._models = self._named(given, "llm_configs", "llm_name")
        self._tools = self._named(given, "tools", "tool_name")
        servers = [each for each in given.get("mcp_servers") or () if isinstance(each, dict)]
        self._servers = servers_of(servers, report, path, ("mcp_servers",), out)
        self.bridge = Bridge(out)
        workflow = given.get("workflow")
        self._workflow = workflow if isinstance(workflow, dict) else {}
        self._entrance = given.get("framework_entrance_agent")
        self._placed: set[str] = set()
        self._calls, self._edge_tools = self._edges()

    def _named(self, given: dict[str, Any], key: str, name: str) -> dict[str, tuple[int, Any]]:
        """Entries of a list by their name, with their place."""
        found: dict[str, tuple[int, Any]] = {}
        for index, entry in enumerate(given.get(key) or ()):
            if isinstance(entry, dict) and isinstance(entry.get(name), str):
                found.setdefault(entry[name], (index, entry))
            else:
                self._report.note("lost", self._path, (key, index), f"it has no {name}")
        return found

    def _edges(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Of each agent the agents that it calls, and the tools and servers."""
        calls: dict[str, list[str]] = {}
        others: dict[str, list[str]] = {}
        for index, edge in enumerate(self._workflow.get("edges") or ()):
            start, end = (
                (edge.get("from"), edge.get("to")) if isinstance(edge, dict) else (None, None)
            )
            at = ("workflow", "edges", index)
            if start not in self._agents:
                message = f"no agent {start!r} that it begins at: order is the model's to decide"
                self._report.note("lost", self._path, at, message)
            elif end in self._agents:
                calls.setdefault(start, []).append(end)
            elif end in self._tools or (isinstance(end, str) and plain_name(end) in self._servers):
                others.setdefault(start, []).append(end)
            else:
                self._report.note("lost", self._path, at, f"nothing is called {end!r}")
        return calls, others

    def tree(self) -> dict[str, Any]:
        if not self._agents:
            raise DefinitionError(f"{display(self._path)}: it has no agents")
        root = self._root()
        made = self._agent(root, root=True)
        for name in self._agents:
            if name not in self._placed:
                # Called by nobody: the entrance agent is the one to know of it.
                made.setdefault("agents", []).append(self._agent(name, root=False))
                message = f"{name} is called by nobody; {root} calls it here"
                self._report.note("changed", self._path, ("workflow",), message)
        if not made.get("agents"):
            made.pop("agents", None)
        used = _used(made)
        servers = {name: server for name, server in self._servers.items() if name in used}
        for name in self._servers.keys() - used:
            self._report.note("lost", self._path, ("mcp_servers",), f"no agent uses {name}")
        if servers:
            made["mcp_servers"] = servers
        return made

    def _root(self) -> str:
        if isinstance(self._entrance, str) and self._entrance in self._agents:
            return self._entrance
        called = {name for each in self._calls.values() for name in each}
        return next((name for name in self._agents if name not in called), next(iter(self._agents)))

    def _agent(self, name: str, *, root: bool) -> dict[str, Any]:
        self._placed.add(name)
        index, given = self._agents[name]
        at = ("agents", index)
        unknown(self._report, self._path, at, given, _AGENT)
        made: dict[str, Any] = {"name": plain_name(name)}
        text = given.get("description") or given.get("description_en") or ""
        skills = [str(each) for each in given.get("capabilities") or ()]
        if text or skills:
            ending = f" Can do: {'; '.join(skills)}." if skills else ""
            made["description"] = f"{str(text).strip()}{ending}".strip()
        model = self._model(given.get("llm_config"), (*at, "llm_config"))
        if root or model is not None:
            made["model"] = model or {"kind": "openai", "name": "unset"}
        prompt = self._prompt(given, at)
        if prompt is not None:
            made["system_prompt"] = prompt
        tools = self._tools_of(name, given, at)
        if tools:
            made["tools"] = tools
        children: list[dict[str, Any]] = []
        for child in self._calls.get(name, ()):
            if child in self._placed:
                message = f"{name} -> {child}: an agent has one place, and {child} has one already"
                self._report.note("lost", self._path, ("workflow", "edges"), message)
            else:
                children.append(self._agent(child, root=False))
        if children:
            made["agents"] = children
        return made

    def _model(self, name: Any, at: tuple[str | int, ...]) -> Any:
        if not isinstance(name, str) or name not in self._models:
            self._report.note("lost", self._path, at, f"no llm_config {name!r}")
            return None
        index, given = self._models[name]
        provider = given.get("provider", "openai")
        if provider not in ("openai", "azure", "NexAGI"):
            message = f"{provider}: the endpoint has to speak OpenAI chat completions"
            self._report.note("needed", self._path, ("llm_configs", index, "provider"), message)
        return model_of(given, self._report, self._path, ("llm_configs", index))

    def _prompt(self, given: dict[str, Any], at: tuple[str | int, ...]) -> Any:
        if isinstance(given.get("system_prompt"), str):
            return given["system_prompt"]
        name = given.get("sysprompt_path")
        if not isinstance(name, str):
            return None
        file = self._path.parent / name
        if not is_file(file):
            self._report.note("lost", self._path, (*at, "sysprompt_path"), missing(file))
            return None
        if file.suffix in (".yaml", ".yml"):
            inner = read_mapping(file).get("system_prompt")
            if isinstance(inner, str):
                return inner
        return {"file": os.path.relpath(file, self._out)}

    def _tools_of(self, name: str, given: dict[str, Any], at: tuple[str | int, ...]) -> list[Any]:
        made: list[Any] = []
        wanted = [*(given.get("tools") or ()), *self._edge_tools.get(name, ())]
        wanted += given.get("mcp_servers") or ()
        for each in dict.fromkeys(str(one) for one in wanted):
            server = plain_name(each)
            if each in self._tools:
                index, entry = self._tools[each]
                tool = tool_of(entry, self._report, self._path, ("tools", index), self.bridge)
                if tool is not None:
                    made.append(tool)
            elif server in self._servers:
                made.append({"mcp": server})
            else:
                self._report.note("lost", self._path, (*at, "tools"), f"nothing is called {each!r}")
        return made


def _used(agent: dict[str, Any]) -> set[str]:
    found = {tool["mcp"] for tool in agent.get("tools", ()) if "mcp" in tool}
    for child in agent.get("agents", ()):
        found |= _used(child)
    return found
