"""Models, servers and tools of the original runtime, as those of an agent file."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexau.definitions.functions import python_tool
from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.files.problems import Trail, clip
from nexau.imports.bridge import Bridge
from nexau.imports.report import Import, unknown
from nexau.imports.values import from_environment, plain_name, read_mapping, variable_of

BUILT_IN = "nexau.archs."
"""Tools of the original itself. Its package has the name of this one, so it cannot be imported."""
INSTEAD = {
    "file_tools": "npx -y @modelcontextprotocol/server-filesystem FOLDER",
    "web_tool": "uvx mcp-server-fetch",
    "web_read_tool": "uvx mcp-server-fetch",
    "todo_write": "a state of the model's own is not kept; leave it out",
}
"""MCP servers that do what its tools do, by module."""

_MODEL_KEYS = ("model", "base_url", "api_key", "temperature", "top_p", "max_tokens", "stream",
               "timeout", "max_retries", "stop", "seed", "api_type", "provider", "llm_name",
               "frequency_penalty", "presence_penalty", "debug", "extra_body", "reasoning",
               "extra_headers")  # fmt: skip
_SAME = {
    **{key: key for key in ("temperature", "top_p", "max_tokens", "stream", "timeout", "seed",
                            "extra_body")},
    "max_retries": "retries",
    "extra_headers": "headers",
}  # fmt: skip
_BODY = ("frequency_penalty", "presence_penalty", "reasoning")


def model_of(given: dict[str, Any], report: Import, file: Path, at: Trail) -> dict[str, Any] | str:
    """An `llm_config`. Keys are never written; what names one stays a variable."""
    unknown(report, file, at, given, _MODEL_KEYS)
    name = _text(given.get("model", "${LLM_MODEL}"), "model", report, file, at)
    made: dict[str, Any] = {"kind": "openai", "name": name or "unset"}
    made |= _endpoint(given, report, file, at)
    for key, ours in _SAME.items():
        if given.get(key) is not None:
            made[ours] = given[key]
    if given.get("stop"):
        made["stop"] = given["stop"] if isinstance(given["stop"], list) else [given["stop"]]
    body = {key: given[key] for key in _BODY if given.get(key) is not None}
    if body:
        made["extra_body"] = {**made.get("extra_body", {}), **body}
    kind = given.get("api_type", "openai_chat_completion")
    if kind != "openai_chat_completion":
        message = f"{kind}: only OpenAI chat completions are spoken here"
        report.note("lost", file, (*at, "api_type"), message)
    return made


def _endpoint(given: dict[str, Any], report: Import, file: Path, at: Trail) -> dict[str, Any]:
    made: dict[str, Any] = {}
    url = given.get("base_url")
    if url is not None:
        url = _text(url, "base_url", report, file, at)
        if url is not None and urlsplit(url).scheme in ("http", "https"):
            made["base_url"] = url
        elif url is not None:
            report.note("lost", file, (*at, "base_url"), f"no http(s) URL: {clip(url)}")
    variable = variable_of(given.get("api_key", "${LLM_API_KEY}"))
    if variable is not None:
        made["api_key_env"] = variable
    elif given.get("api_key"):
        report.note("lost", file, (*at, "api_key"), "a key in a file: set OPENAI_API_KEY instead")
    return made


def _text(value: Any, key: str, report: Import, file: Path, at: Trail) -> str | None:
    """With the variables of the environment filled in, which is done when the file is imported."""
    text, missing = from_environment(value)
    if missing:
        message = f"set it by hand: {', '.join(missing)} was not set during the import"
        report.note("needed", file, (*at, key), message)
    elif text != value:
        report.note(
            "changed", file, (*at, key), "from the environment, as it was during the import"
        )
    return text


_SERVER_KEYS = ("name", "type", "command", "args", "env", "url", "headers", "timeout", "auth",
                "disable_parallel", "permissions", "tool_permissions", "source_id", "description",
                "use_stdio", "cwd")  # fmt: skip


def servers_of(
    given: list[Any], report: Import, file: Path, at: Trail, out: Path
) -> dict[str, dict[str, Any]]:
    """By name, as under `mcp_servers`."""
    made: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(given):
        place = (*at, index)
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            report.note("lost", file, place, "a server is a mapping with a name")
            continue
        unknown(report, file, place, entry, _SERVER_KEYS)
        server = _server(entry, report, file, place)
        if server is not None and "cwd" in server:
            server["cwd"] = os.path.relpath(server["cwd"], out)
        if server is None:
            continue
        name = plain_name(entry["name"])
        if name != entry["name"]:
            report.note("changed", file, (*place, "name"), f"{entry['name']} is called {name} here")
        made[name] = server
    return made


def _server(entry: dict[str, Any], report: Import, file: Path, at: Trail) -> dict[str, Any] | None:
    kind = entry.get("type", "stdio" if "command" in entry else "http")
    if kind == "sse":
        message = "the SSE transport is not spoken here; most servers offer streamable HTTP too"
        report.note("lost", file, at, message)
        return None
    made: dict[str, Any] = {}
    if kind == "stdio":
        if not isinstance(entry.get("command"), str):
            report.note("lost", file, at, "a server over stdio has a command")
            return None
        made = {"command": entry["command"]}
        if args := _of(list, entry, "args", report, file, at):
            made["args"] = [str(each) for each in args]
        if env := _of(dict, entry, "env", report, file, at):
            made["env"] = {str(key): str(value) for key, value in env.items()}
        made["cwd"] = str(entry.get("cwd") or file.parent)
    elif isinstance(entry.get("url"), str):
        made = {"url": entry["url"]}
        given = _of(dict, entry, "headers", report, file, at) or {}
        headers = {str(key): str(value) for key, value in given.items()}
        for key in [key for key in headers if key.casefold() in ("content-type", "accept")]:
            del headers[key]
            report.note("changed", file, (*at, "headers", key), "the transport sets it itself")
        headers |= _authorization(entry.get("auth"), report, file, at)
        if headers:
            made["headers"] = headers
    else:
        report.note("lost", file, at, "a server over http has a url")
        return None
    if timeout := _of((int, float), entry, "timeout", report, file, at):
        made["timeout"] = float(timeout)
    _server_losses(entry, report, file, at)
    return made


def _of(kind: Any, entry: dict[str, Any], key: str, report: Import, file: Path, at: Trail) -> Any:
    """What is there, where it is of the type that it has to be of."""
    value = entry.get(key)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    expected = {list: "a list", dict: "a mapping"}.get(kind, "a number")
    report.note("lost", file, (*at, key), f"expected {expected}: {clip(str(value))}")
    return None


def _authorization(auth: Any, report: Import, file: Path, at: Trail) -> dict[str, str]:
    if not auth:
        return {}
    token = auth.get("token") if isinstance(auth, dict) else None
    if isinstance(auth, dict) and auth.get("type") == "bearer" and isinstance(token, dict):
        return {"Authorization": f"Bearer ${{{token.get('key', 'TOKEN')}}}"}
    message = "OAuth is not carried over; put a token into headers"
    report.note("lost", file, (*at, "auth"), message)
    return {}


def _server_losses(entry: dict[str, Any], report: Import, file: Path, at: Trail) -> None:
    reasons = {
        "disable_parallel": "calls of one agent are bounded by limits.parallel_calls",
        "permissions": "every listed tool may be called; choose with include and exclude",
        "tool_permissions": "every listed tool may be called; choose with include and exclude",
    }
    for key, reason in reasons.items():
        if entry.get(key):
            report.note("lost", file, (*at, key), reason)


_TOOL_KEYS = ("name", "yaml_path", "binding", "lazy", "as_skill", "defer_loading", "extra_kwargs",
              "source_id", "tool_name", "description", "config_path")  # fmt: skip


def tool_of(
    entry: Any, report: Import, file: Path, at: Trail, bridge: Bridge
) -> dict[str, Any] | None:
    """A tool with a `binding`; None where it cannot be called here."""
    if not isinstance(entry, dict):
        report.note("lost", file, at, "a tool is a mapping with name, yaml_path and binding")
        return None
    unknown(report, file, at, entry, _TOOL_KEYS)
    name = entry.get("name") or entry.get("tool_name") or ""
    described = _described(entry, report, file, at)
    binding = entry.get("binding") or (described or {}).get("binding")
    if not isinstance(binding, str) or ":" not in binding:
        report.note("lost", file, at, f"{name}: it has no binding, so nothing answers it")
        return None
    if binding.startswith(BUILT_IN):
        module = next(
            (part for part in binding.replace(":", ".").split(".") if part in INSTEAD), ""
        )
        instead = f"; instead: {INSTEAD[module]}" if module else "; an MCP server may do the same"
        report.note("lost", file, at, f"{name}: {binding} is a part of the original{instead}")
        return None
    made: dict[str, Any] = {}
    if name:
        made["name"] = plain_name(name)
    text = (described or {}).get("description") or entry.get("description")
    if isinstance(text, str) and text.strip():
        made["description"] = text.strip()
    try:
        written, function = bridge.find(binding, file.parent)
        tool = python_tool(function, name=made.get("name"))
    except DefinitionError as error:
        report.note("lost", file, at, f"{name}: {error}")
        return None
    _compare(tool.spec.parameters, (described or {}).get("input_schema"), report, file, at, name)
    _tool_losses(entry, described or {}, report, file, at, name)
    return {"python": written, **made}


def _described(
    entry: dict[str, Any], report: Import, file: Path, at: Trail
) -> dict[str, Any] | None:
    """The YAML of a tool, from `yaml_path` or `config_path`."""
    given = entry.get("yaml_path") or entry.get("config_path")
    if not isinstance(given, str) or not given.endswith((".yaml", ".yml", ".json")):
        return None
    path = file.parent / given
    try:
        return read_mapping(path)
    except DefinitionError as error:
        report.note("lost", file, at, f"its description: {error}".replace("\n", "; "))
        return None


def _compare(
    ours: dict[str, Any], theirs: Any, report: Import, file: Path, at: Trail, name: str
) -> None:
    """The schema here is made from the function's hints; the other one is only looked at."""
    if not isinstance(theirs, dict) or not isinstance(theirs.get("properties"), dict):
        return
    known = ours.get("properties", {})
    for key in theirs["properties"]:
        if key not in known:
            near = hint(key, known, "it has")
            message = f"{name}: input_schema has {key}, which the function does not take{near}"
            report.note("lost", file, at, message)
    for key in sorted(set(known) - set(theirs["properties"])):
        message = f"{name}: {key} is a parameter of the function that models were not shown before"
        report.note("changed", file, at, message)


def _tool_losses(
    entry: dict[str, Any],
    described: dict[str, Any],
    report: Import,
    file: Path,
    at: Trail,
    name: str,
) -> None:
    reasons = {
        "lazy": "the module is imported when the agent is loaded",
        "as_skill": "it is shown as a plain tool",
        "defer_loading": "its schema is shown from the first turn on",
        "extra_kwargs": "the function gets what the model gives and nothing else",
        "disable_parallel": "calls of one agent are bounded by limits.parallel_calls",
        "formatter": "models see what the function returns",
        "skill_description": "it is shown as a plain tool",
        "search_hint": "its schema is shown from the first turn on",
    }
    for key, reason in reasons.items():
        if entry.get(key) or described.get(key):
            report.note("lost", file, (*at, key), f"{name}: {reason}")
