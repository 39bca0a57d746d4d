"""Who gets which tools: parts of the tool graph for the agents of a shape, and distractors."""

import random
from collections.abc import Sequence

from nexau.synth.agents.hierarchy import WORKERS, Node
from nexau.synth.agents.toolgraph import ToolGraph

BONUS = 0.5
"""Of a tool for a part that holds one of its community."""
CROWD = 0.35
"""How much a part's size speaks against one more."""


def choose_tools(
    chance: random.Random, graph: ToolGraph, ranked: Sequence[int], size: int
) -> list[int]:
    """Tools for a hierarchy of `size` agents, of those that the specification asks for most.

    Begins with one of the best, goes on along the graph and by rank in turn, so that the set hangs
    together and still is about the specification.
    """
    wanted = min(len(ranked), max(2, round((2 + 1.1 * size) * chance.uniform(0.7, 1.4))))
    pool = ranked[: max(wanted, round(wanted * 1.5))]
    start = chance.choices(pool, [1 / (1 + place) for place in range(len(pool))])[0]
    found = graph.walk(chance, start, max(1, round(wanted * 0.6)), pool)
    for tool in pool:
        if len(found) >= wanted:
            break
        if tool not in found:
            found.append(tool)
    return sorted(found)


def allot(chance: random.Random, root: Node, graph: ToolGraph, tools: Sequence[int]) -> None:
    """Gives every node its tools: each of `tools` is some worker's, and a worker's hang together
    where the graph lets them."""
    root.scope = sorted(tools)
    _divide(chance, root, graph)
    _share_oversight(chance, root, graph)


def _divide(chance: random.Random, node: Node, graph: ToolGraph) -> None:
    if not node.children:
        if node.role in WORKERS:
            node.tools = list(node.scope)
        return
    workers = [child for child in node.children if child.role in WORKERS or child.children]
    rest = [child for child in node.children if child not in workers]
    own: list[int] = []
    if node.topology == "relay" or (node.role in WORKERS and chance.random() < 0.35):
        own = _own(chance, node, graph)
    scope = [tool for tool in node.scope if tool not in own] or node.scope
    node.tools = own
    parts = divide(chance, graph, scope, len(workers)) if workers else []
    for child, part in zip(workers, parts, strict=True):
        child.scope = part
    for child in rest:
        child.scope = list(node.scope)
    for child in node.children:
        _divide(chance, child, graph)


def _own(chance: random.Random, node: Node, graph: ToolGraph) -> list[int]:
    """What a node keeps for itself before it hands on the rest."""
    if len(node.scope) < 3:
        return node.scope[:1]
    size = max(1, len(node.scope) // (2 + node.depth()))
    return sorted(graph.walk(chance, chance.choice(node.scope), size, node.scope))


def _share_oversight(chance: random.Random, root: Node, graph: ToolGraph) -> None:
    """Those who judge, plan and direct sometimes get a few tools that only read."""
    for node in root.walk():
        if node.role in WORKERS and not node.children:
            continue
        reading = [tool for tool in node.scope if graph.facts[tool].does == "reads"]
        if not node.tools and reading and chance.random() < 0.3:
            size = chance.randint(1, 3)
            node.tools = sorted(graph.walk(chance, chance.choice(reading), size, reading))


def divide(
    chance: random.Random, graph: ToolGraph, tools: Sequence[int], parts: int
) -> list[list[int]]:
    """`tools` in so many parts, none empty: each grows from a tool of its own along the graph, and
    prefers its own community. With fewer tools than parts, parts overlap."""
    if parts <= 1:
        return [list(tools)] * parts
    if len(tools) < parts:
        return _overlapping(chance, graph, tools, parts)
    seeds = _seeds(chance, graph, tools, parts)
    made = [[seed] for seed in seeds]
    pull = [dict(graph.links[seed]) for seed in seeds]
    groups = [{graph.communities[seed]} for seed in seeds]
    left = [tool for tool in tools if tool not in seeds]
    chance.shuffle(left)
    fair = len(tools) / parts
    for tool in left:
        group = graph.communities[tool]
        chosen, most = 0, -1e9
        for place in range(parts):
            ties = pull[place].get(tool, 0.0) + (BONUS if group in groups[place] else 0.0)
            score = ties - CROWD * len(made[place]) / fair
            if score > most:
                chosen, most = place, score
        made[chosen].append(tool)
        groups[chosen].add(group)
        for other, weight in graph.links[tool].items():
            pull[chosen][other] = pull[chosen].get(other, 0.0) + weight
    return [sorted(part) for part in made]


def _seeds(chance: random.Random, graph: ToolGraph, tools: Sequence[int], count: int) -> list[int]:
    """Tools far from each other: of other communities first, then with the weakest ties."""
    found = [chance.choice(tools)]
    ties = dict(graph.links[found[0]])
    groups = {graph.communities[found[0]]}
    while len(found) < count:
        order = sorted(
            (tool for tool in tools if tool not in found),
            key=lambda tool: (graph.communities[tool] in groups, ties.get(tool, 0.0), tool),
        )
        seed = order[min(len(order) - 1, int(chance.expovariate(1.0)))]
        found.append(seed)
        groups.add(graph.communities[seed])
        for other, weight in graph.links[seed].items():
            ties[other] = ties.get(other, 0.0) + weight
    return found


def _overlapping(
    chance: random.Random, graph: ToolGraph, tools: Sequence[int], parts: int
) -> list[list[int]]:
    """A tool each in turn, and a connected neighbour or two."""
    order = list(tools)
    chance.shuffle(order)
    made: list[list[int]] = []
    for place in range(parts):
        start = order[place % len(order)]
        made.append(sorted(graph.walk(chance, start, chance.randint(1, 3), tools)))
    return made


def distract(
    chance: random.Random, root: Node, graph: ToolGraph, ranked: Sequence[int], share: float
) -> None:
    """Gives workers tools that their work does not need, `share` of their own number on average:
    half of them near to what they have, half from anywhere in the catalog."""
    if share <= 0:
        return
    for node in root.walk():
        if not node.tools:
            continue
        expected = share * len(node.tools)
        count = int(expected) + (chance.random() < expected % 1)
        if not count:
            continue
        linked = {tool for mine in node.tools for tool in graph.links[mine]}
        near = sorted(linked.difference(node.tools, node.scope))
        for _ in range(count):
            tool = chance.choice(near if near and chance.random() < 0.5 else ranked)
            if tool not in node.tools and tool not in node.distractors:
                node.distractors.append(tool)
        node.distractors.sort()
