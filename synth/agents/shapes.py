"""When two hierarchies are the same: canonical forms of trees (Aho, Hopcroft and Ullman 1974).

The form of a node is its label and the sorted forms of its children, so two trees have one form
exactly when they differ in nothing but the order of children.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from nexau.synth.agents.hierarchy import Node
from nexau.synth.agents.toolgraph import ToolGraph


def canonical(tree: Any, label: Callable[[Any], str] = lambda _: "") -> str:
    """The canonical form of anything with `children`; `label` tells nodes apart. Without labels, of
    the bare shape."""
    inner = sorted(canonical(child, label) for child in tree.children)
    return f"({label(tree)}{''.join(inner)})"


def digest(form: str) -> str:
    """Of a canonical form, 16 hexadecimal digits."""
    return hashlib.sha256(form.encode()).hexdigest()[:16]


def shape_of(root: Node) -> str:
    """Without names and tools: who there is, by role."""
    return canonical(root, lambda node: node.role)


def signature_of(root: Node, graph: ToolGraph) -> str:
    """With the tools of each agent, too. Two hierarchies of one signature differ in texts only."""

    def label(node: Node) -> str:
        keys = sorted(graph.facts[place].tool.key for place in node.tools)
        return f"{node.role}:{','.join(keys)}"

    return canonical(root, label)
