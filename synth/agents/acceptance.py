"""What a hierarchy has to be before it is kept: whole, reachable, unambiguous."""

import re
from collections.abc import Iterator

from nexau.definitions.prompts import compile_prompt
from nexau.definitions.structs import NAME_PATTERN
from nexau.definitions.values import DefinitionError, Prompt
from nexau.synth.agents.hierarchy import WORKERS, Hierarchy, Node
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.topologies import MAX_AGENTS, MAX_DEPTH
from nexau.synth.agents.writing import CONFUSED, alike, tool_names

MAX_PROMPT = 20_000
"""Characters."""


def faults(hierarchy: Hierarchy, graph: ToolGraph) -> list[str]:
    """Why it is refused; empty for one that is kept."""
    return list(_faults(hierarchy, graph))


def _faults(hierarchy: Hierarchy, graph: ToolGraph) -> Iterator[str]:
    root = hierarchy.root
    nodes: list[Node] = []
    seen: set[int] = set()
    for node in _reached(root):
        if id(node) in seen:
            yield f"a cycle: {node.name} is reached twice"
            return
        seen.add(id(node))
        nodes.append(node)
    if len(nodes) > MAX_AGENTS or root.depth() > MAX_DEPTH:
        yield f"{len(nodes)} agents on {root.depth()} levels; at most {MAX_AGENTS} on {MAX_DEPTH}"
    unknown = [
        f"{node.name}: no tool {place} in the catalog"
        for node in nodes
        for place in (*node.tools, *node.distractors)
        if not 0 <= place < len(graph)
    ]
    if unknown:
        yield from unknown
        return
    yield from _tool_faults(hierarchy, nodes, graph)
    names = tool_names(hierarchy, graph)
    taken: set[str] = set()
    for node in nodes:
        if node.name in taken:
            yield f"two agents are called {node.name}"
        taken.add(node.name)
        yield from _agent_faults(node, graph, {names[place] for place in node.tools})
        yield from _sibling_faults(node)


def _reached(root: Node) -> Iterator[Node]:
    """From the root down, without end where there is a cycle."""
    queue = [root]
    while queue:
        node = queue.pop()
        yield node
        queue += node.children


def _tool_faults(hierarchy: Hierarchy, nodes: list[Node], graph: ToolGraph) -> Iterator[str]:
    held: set[int] = set()
    for node in nodes:
        for place in (*node.tools, *node.distractors):
            if graph.facts[place].tool.server not in hierarchy.servers:
                yield f"{node.name}: its server {graph.facts[place].tool.server} is not started"
        held.update(node.tools)
    for place in hierarchy.root.scope:
        if place not in held:
            yield f"no agent can call {graph.facts[place].tool.key}"


def _agent_faults(node: Node, graph: ToolGraph, names: set[str]) -> Iterator[str]:
    if not re.fullmatch(NAME_PATTERN, node.name):
        yield f"{node.name!r} is no name of an agent"
    if node.role in WORKERS and not node.children and not node.tools:
        yield f"{node.name} has nothing to work with"
    if not node.description.strip():
        yield f"{node.name} has no description"
    if not 40 <= len(node.prompt) <= MAX_PROMPT:
        wanted = f"expected 40 to {MAX_PROMPT:,}"
        yield f"{node.name}: a prompt of {len(node.prompt):,} characters; {wanted}"
    clash = {child.name for child in node.children} & names
    if clash:
        yield f"{node.name}: {', '.join(sorted(clash))} is a tool and an agent"
    steps = node.limits.steps
    if steps is not None and steps < 2 * node.size():
        yield f"{node.name}: {steps} steps do not reach all {node.size()} agents"
    try:
        # Text of tools and models is no template: it may not name variables of a task.
        compiled = compile_prompt(Prompt(node.prompt))
        if compiled is not None and re.search(r"\{[{%#](?! '\{' \}\})", node.prompt):
            yield f"{node.name}: its prompt is a template"
    except DefinitionError as error:
        yield f"{node.name}: its prompt does not parse: {error}"


def _sibling_faults(node: Node) -> Iterator[str]:
    if len(node.children) < 2:
        return
    for place, child in enumerate(node.children):
        for sibling in node.children[:place]:
            near = alike(sibling.description, child.description)
            if near > CONFUSED:
                yield (f"{child.name} and {sibling.name} are described alike"
                       f" ({near:.2f}; at most {CONFUSED})")  # fmt: skip
