"""Agent files of the original NexAU runtime (`type: agent`, tools by `yaml_path` and `binding`,
`sub_agents` by `config_path`) as agent files of this one.

Every agent becomes a file of its own. Prompts and Python stay where they are and are referred to.
"""

import os
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment

from nexau.definitions.values import DefinitionError
from nexau.files.paths import is_file, missing
from nexau.imports.bridge import Bridge
from nexau.imports.parts import model_of, servers_of, tool_of
from nexau.imports.report import Converted, Import, unknown
from nexau.imports.values import plain_name, read_mapping
from nexau.imports.writing import agent_text

GIVEN = frozenset({"task"})
"""Variables that every prompt has here."""
LOST = {
    "skills": "folders of skills are not read; put what matters into the prompt",
    "stop_tools": "a rollout ends when the agent answers without a call",
    "initial_state": "agents keep no state; variables of a task reach the prompts",
    "initial_config": "agents keep no state; variables of a task reach the prompts",
    "initial_context": "give it as `variables` of each task",
    "global_storage": "agents share nothing but what they tell each other",
    "token_counter": "tokens are counted as the endpoint counts them",
    "error_handler": "errors of tools are observations for the model",
    "middlewares": "there are no middlewares; subscribe to events, or write a sink",
    "hooks": "there are no hooks; subscribe to events, or write a sink",
    "before_agent_hooks": "there are no hooks; subscribe to events, or write a sink",
    "after_agent_hooks": "there are no hooks; subscribe to events, or write a sink",
    "before_model_hooks": "there are no hooks; subscribe to events, or write a sink",
    "after_model_hooks": "there are no hooks; subscribe to events, or write a sink",
    "before_tool_hooks": "there are no hooks; subscribe to events, or write a sink",
    "after_tool_hooks": "there are no hooks; subscribe to events, or write a sink",
    "tracers": "the trajectory is the trace: stdout, or a sink",
    "plugins": "there are no plugins",
    "sandbox_config": "Python tools run in this process; MCP servers in theirs",
    "max_context_tokens": "histories are not compacted; limits.tokens bounds what is spent",
    "max_context": "histories are not compacted; limits.tokens bounds what is spent",
    "timeout": "set limits.seconds for an agent, or timeout for a tool or server",
    "retry_backoff_max_seconds": "waits of the model grow to 30 s",
    "user": "there are no users", "session_id": "every rollout is a session",
}  # fmt: skip
KNOWN = {"type", "name", "description", "system_prompt", "system_prompt_type", "llm_config",
         "tools", "sub_agents", "mcp_servers", "max_iterations", "tool_call_mode", "retry_attempts",
         "max_running_subagents", "variables", "agent_id", "system_prompt_suffix", "source_id",
         *LOST}  # fmt: skip


def is_original(value: dict[str, Any]) -> bool:
    """Whether a file is one of the original's agents."""
    marks = {"llm_config", "sub_agents", "system_prompt_type", "max_iterations", "tool_call_mode"}
    listed = isinstance(value.get("mcp_servers"), list)
    return value.get("type") == "agent" or listed or bool(marks & set(value))


def import_original(path: Path, out: Path) -> Import:
    """Converts an agent and all below it into files of `out`; writes nothing.

    Imports the Python modules of its tools. Raises `DefinitionError` for files that cannot be read
    and for agents that contain themselves.
    """
    report = Import([], [])
    importer = _Importer(report, out)
    report.root = importer.agent(path, ())
    report.files += importer.bridge.files()
    return report


class _Importer:
    def __init__(self, report: Import, out: Path) -> None:
        self._report = report
        self._out = out
        self._names: dict[Path, str] = {}
        self.bridge = Bridge(out)

    def agent(self, path: Path, above: tuple[Path, ...]) -> str:
        """The name of the file that the agent of `path` becomes."""
        path = Path(os.path.realpath(path))
        if path in above:
            chain = " -> ".join(each.name for each in (*above[above.index(path) :], path))
            raise DefinitionError(f"a cycle between agents: {chain}")
        if path in self._names:
            return self._names[path]
        given = read_mapping(path)
        self._names[path] = name = self._free_name(given, path)
        made = self._convert(given, path, above)
        text = agent_text(made, path, self._report)
        self._report.files.append(Converted(name, text))
        return name

    def _free_name(self, given: dict[str, Any], path: Path) -> str:
        base = plain_name(str(given.get("name") or path.stem))
        name, number = f"{base}.yaml", 1
        while name in self._names.values():
            number += 1
            name = f"{base}_{number}.yaml"
        return name

    def _convert(
        self, given: dict[str, Any], path: Path, above: tuple[Path, ...]
    ) -> dict[str, Any]:
        report = self._report
        unknown(report, path, (), given, KNOWN)
        name = str(given.get("name") or path.stem)
        made: dict[str, Any] = {"name": plain_name(name)}
        if made["name"] != name:
            report.note("changed", path, ("name",), f"{name} is called {made['name']} here")
        if given.get("description"):
            made["description"] = str(given["description"]).strip()
        config = given.get("llm_config")
        config = dict(config) if isinstance(config, dict) else {}
        if given.get("retry_attempts") is not None:
            config.setdefault("max_retries", given["retry_attempts"])
        made["model"] = model_of(config, report, path, ("llm_config",))
        prompt = self._prompt(given, path)
        if prompt is not None:
            made["system_prompt"] = prompt
        servers = servers_of(_list(given, "mcp_servers"), report, path, ("mcp_servers",), self._out)
        tools = self._tools(given, path)
        tools += [{"mcp": server} for server in servers]
        if tools:
            made["tools"] = tools
        agents = self._agents(given, path, above)
        if agents:
            made["agents"] = agents
        if servers:
            made["mcp_servers"] = servers
        limits = self._limits(given, path, agents)
        if limits:
            made["limits"] = limits
        self._losses(given, path)
        return made

    def _prompt(self, given: dict[str, Any], path: Path) -> Any:
        """The original renders all kinds with jinja2; a text is one where its type is `string`."""
        prompt = given.get("system_prompt")
        if prompt is None:
            return None
        if not isinstance(prompt, str):
            message = "a prompt in parts is not carried over; write it as one text"
            self._report.note("lost", path, ("system_prompt",), message)
            return None
        if given.get("system_prompt_type", "string") == "string":
            self._variables(prompt, path)
            return prompt
        file = path.parent / prompt
        if not is_file(file):
            self._report.note("lost", path, ("system_prompt",), missing(file))
            return None
        self._variables(file.read_text("utf-8", "replace"), path)
        return {"file": os.path.relpath(file, self._out)}

    def _variables(self, text: str, path: Path) -> None:
        try:
            parsed = SandboxedEnvironment().parse(text)
        except TemplateSyntaxError:
            return  # `nexau check` says where
        names = sorted(meta.find_undeclared_variables(parsed) - GIVEN)
        if names:
            message = (
                f"each task gives its prompt {', '.join(names)} under `variables`"
                " (the original leaves out what is missing)"
            )
            self._report.note("needed", path, ("system_prompt",), message)

    def _tools(self, given: dict[str, Any], path: Path) -> list[Any]:
        made: list[Any] = []
        for index, entry in enumerate(_list(given, "tools")):
            tool = tool_of(entry, self._report, path, ("tools", index), self.bridge)
            if tool is not None:
                made.append(tool)
        return made

    def _agents(
        self, given: dict[str, Any], path: Path, above: tuple[Path, ...]
    ) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for index, entry in enumerate(_list(given, "sub_agents")):
            at = ("sub_agents", index)
            if not isinstance(entry, dict) or not isinstance(entry.get("config_path"), str):
                self._report.note("lost", path, at, "a sub-agent has name and config_path")
                continue
            file = path.parent / entry["config_path"]
            if not is_file(file):
                self._report.note("lost", path, (*at, "config_path"), missing(file))
                continue
            child: dict[str, Any] = {"path": self.agent(file, (*above, path))}
            if entry.get("name"):
                child["name"] = plain_name(str(entry["name"]))
            unknown(self._report, path, at, entry, ("name", "config_path", "source_id"))
            made.append(child)
        return made

    def _limits(
        self, given: dict[str, Any], path: Path, agents: list[dict[str, Any]]
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        steps = given.get("max_iterations")
        if isinstance(steps, int) and not agents:
            made["steps"] = steps
        elif isinstance(steps, int):
            message = f"{steps} turns of its own; limits.steps would count its sub-agents' as well"
            self._report.note("lost", path, ("max_iterations",), message)
        running = given.get("max_running_subagents")
        if isinstance(running, int):
            made["parallel_calls"] = running
            message = "limits.parallel_calls counts calls of tools as well"
            self._report.note("changed", path, ("max_running_subagents",), message)
        return made

    def _losses(self, given: dict[str, Any], path: Path) -> None:
        for key, reason in LOST.items():
            if given.get(key):
                self._report.note("lost", path, (key,), reason)
        if given.get("tool_call_mode") == "xml":
            message = "calls in the text are not parsed; the endpoint has to support tools"
            self._report.note("lost", path, ("tool_call_mode",), message)
        if given.get("system_prompt_suffix"):
            message = "append it to system_prompt"
            self._report.note("lost", path, ("system_prompt_suffix",), message)


def _list(given: dict[str, Any], key: str) -> list[Any]:
    found = given.get(key)
    return found if isinstance(found, list) else []
