"""The task that visits every agent of a hierarchy: its plan calls each, down to the leaves."""

import random
from typing import Any

from nexau.synth.agents.hierarchy import Hierarchy, Node
from nexau.synth.agents.probes import only_reads, probe
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.writing import tool_names

REQUEST = "Report that you can be reached, and that your tools answer."


def smoke_task(
    hierarchy: Hierarchy, graph: ToolGraph, probes: dict[int, dict[str, Any] | None]
) -> dict[str, Any]:
    """A task for the `plan` model: all children of an agent at once; of an agent with tools, one
    that only reads. `probes` remembers arguments by tool."""
    names = tool_names(hierarchy, graph)
    chance = random.Random(hierarchy.index)
    plan = _plan(hierarchy.root, names, graph, probes, chance)
    return {"id": f"smoke-{hierarchy.name}", "input": REQUEST, "plan": plan,
            "metadata": {"leaves": sum(1 for _ in hierarchy.root.leaves())}}  # fmt: skip


def _plan(
    node: Node,
    names: dict[int, str],
    graph: ToolGraph,
    probes: dict[int, dict[str, Any] | None],
    chance: random.Random,
) -> dict[str, Any]:
    calls: list[dict[str, Any]] = []
    reading = [place for place in node.tools if only_reads(graph.facts[place])]
    for place in chance.sample(reading, len(reading)):
        if place not in probes:
            probes[place] = probe(graph.facts[place])
        arguments = probes[place]
        if arguments is not None:
            calls.append({"name": names[place], "arguments": _literal(arguments)})
            break
    for child in node.children:
        below = _plan(child, names, graph, probes, chance)
        calls.append({"name": child.name, "arguments": {"task": REQUEST}, "plan": below})
    return {"turns": [calls] if calls else [], "answer": f"{node.name} can be reached."}


def _literal(value: Any) -> Any:
    """As a plan has it: `{{` in a text stands for a reference there."""
    if isinstance(value, str):
        return value.replace("{{", "{{{{")
    if isinstance(value, list):
        return [_literal(each) for each in value]
    if isinstance(value, dict):
        return {key: _literal(each) for key, each in value.items()}
    return value
