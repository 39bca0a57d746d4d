"""Hierarchies to agent files, as YAML that a person would write.

Written directly: PyYAML takes fifty times as long, and a thousand hierarchies are soon wanted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definition import Server
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
    servers: Mapping[str, Server],
    model: Any,
    comment: str,
) -> bytes:
    """The agent file. `servers` are to be written for the folder of the file, `model` is what
    stands under `model:`, as text or a mapping."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += _agent(hierarchy.root, graph, hierarchy.prefixed, "", model)
    lines.append("mcp_servers:")
    for name in hierarchy.servers:
        lines.append(f"  {scalar(name)}:")
        lines += [f"    {line}" for line in _mapping(brief(servers[name]))]
    lines.append(f"supervision: {flow(brief(hierarchy.supervision))}")
    return ("\n".join(lines) + "\n").encode()


def _agent(
    node: Node, graph: ToolGraph, prefixed: list[str], indent: str, model: Any = None
) -> Iterator[str]:
    yield f"{indent}name: {scalar(node.name)}"
    yield f"{indent}description: {scalar(node.description)}"
    if model is not None:
        yield f"{indent}model: {scalar(model) if isinstance(model, str) else flow(model)}"
    yield from _block(f"{indent}system_prompt:", node.prompt, indent)
    entries = mcp_entries(node, graph, prefixed)
    if entries:
        yield f"{indent}tools:"
        for entry in entries:
            yield f"{indent}  - {flow(entry)}"
    if node.children:
        yield f"{indent}agents:"
        for child in node.children:
            lines = _agent(child, graph, prefixed, f"{indent}    ")
            yield f"{indent}  - {next(lines).lstrip()}"
            yield from lines
    yield f"{indent}limits: {flow(msgspec.to_builtins(node.limits))}"


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


def exact(name: str) -> str:
    """A shell pattern that only this name matches."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _block(key: str, text: str, indent: str) -> Iterator[str]:
    if not _BLOCK.fullmatch(text) or text.endswith("\n\n") or "\t" in text:
        yield f"{key} {json.dumps(text)}"
        return
    yield f"{key} |"
    for line in text.splitlines():
        yield f"{indent}  {line}" if line else ""


def _mapping(value: dict[str, Any]) -> Iterator[str]:
    for key, each in value.items():
        yield f"{scalar(key)}: {flow(each)}"


def flow(value: Any) -> str:
    """Any JSON value in one line."""
    if isinstance(value, Struct):
        value = brief(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(each) for each in value)}]"
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
