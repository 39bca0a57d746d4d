"""Hierarchies to agent files, as YAML that a person would write.

Written directly: PyYAML takes fifty times as long, and a thousand hierarchies are soon wanted.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import Server
from nexau.synth.agents.catalog import brief
from nexau.synth.agents.hierarchy import Hierarchy, Node
from nexau.synth.agents.toolgraph import ToolGraph

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*[A-Za-z0-9_]|[A-Za-z_]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BLOCK = re.compile(r"[^\s][\t\n\x20-\x7e\u00a0-\u2027\u2030-\ud7ff]*\n")
"""What a block scalar holds as it is: no first blank, no control character, one newline at the
end."""


def agent_yaml(
    hierarchy: Hierarchy,
    graph: ToolGraph,
    servers: Mapping[str, Sequence[str]],
    model: Any,
    comment: str,
) -> bytes:
    """The agent file. `servers` are the lines of each (`server_lines`), `model` is what stands
    under `model:`, as text or a mapping."""
    lines = [f"# {line}" for line in comment.splitlines()]
    _agent(lines, hierarchy.root, graph, hierarchy.prefixed, "", model)
    lines.append("mcp_servers:")
    for name in hierarchy.servers:
        lines.append(f"  {scalar(name)}:")
        lines += servers[name]
    lines.append(f"supervision: {flow(brief(hierarchy.supervision))}")
    return ("\n".join(lines) + "\n").encode()


def _agent(
    lines: list[str],
    node: Node,
    graph: ToolGraph,
    prefixed: list[str],
    indent: str,
    model: Any = None,
) -> None:
    # In a list of agents the first key stands behind its dash.
    first = f"{indent[:-4]}  - " if indent else ""
    lines.append(f"{first}name: {scalar(node.name)}")
    lines.append(f"{indent}description: {scalar(node.description)}")
    if model is not None:
        text = scalar(model) if isinstance(model, str) else flow(model)
        lines.append(f"{indent}model: {text}")
    _block(lines, f"{indent}system_prompt:", node.prompt, indent)
    entries = mcp_entries(node, graph, prefixed)
    if entries:
        lines.append(f"{indent}tools:")
        lines += [f"{indent}  - {flow(entry)}" for entry in entries]
    if node.children:
        lines.append(f"{indent}agents:")
        for child in node.children:
            _agent(lines, child, graph, prefixed, f"{indent}    ")
    lines.append(f"{indent}limits: {flow(msgspec.to_builtins(node.limits))}")


def mcp_entries(node: Node, graph: ToolGraph, prefixed: list[str]) -> list[dict[str, Any]]:
    """Of each server the tools by their names; no pattern that would let in others."""
    by_server: dict[str, list[str]] = {}
    for place in (*node.tools, *node.distractors):
        tool = graph.facts[place].tool
        by_server.setdefault(tool.server, []).append(exact(tool.name))
    made: list[dict[str, Any]] = []
    for server, names in by_server.items():
        entry: dict[str, Any] = {"mcp": server, "include": names}
        if server in prefixed:
            entry["prefix"] = f"{server}_"
        made.append(entry)
    return made


@lru_cache(maxsize=4096)
def exact(name: str) -> str:
    """A shell pattern that only this name matches."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _block(lines: list[str], key: str, text: str, indent: str) -> None:
    if not _BLOCK.fullmatch(text) or text.endswith("\n\n") or "\t" in text:
        lines.append(f"{key} {json.dumps(text)}")
        return
    lines.append(f"{key} |")
    lines += [f"{indent}  {line}" if line else "" for line in text.splitlines()]


def server_lines(server: Server) -> tuple[str, ...]:
    """What stands below a server's name: of a server written for the folder of the agent file."""
    return tuple(f"    {scalar(key)}: {flow(each)}" for key, each in brief(server).items())


def flow(value: Any) -> str:
    """Any JSON value in one line."""
    if isinstance(value, Struct):
        value = brief(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(each) for each in value)}]"
    if isinstance(value, str):
        return scalar(value)
    return str(value) if type(value) is int else json.dumps(value)


@lru_cache(maxsize=8192)
def scalar(text: str) -> str:
    """In quotes where plain text would be something else."""
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
