"""Shapes of hierarchies: which agents there are, and who answers to whom.

A shape is grown: a topology for the root, then, while agents are left to place, one of its workers
becomes the root of another. So a specialist may run a debate, and a stage a team. The number of
agents (1 to 34) and of levels (up to 5 below the root) are drawn first, by the complexity.
"""

import random
from collections.abc import Callable, Sequence

from nexau.synth.agents.hierarchy import Node, Role, Topology

MAX_AGENTS = 34
MAX_DEPTH = 5
CONCENTRATION = 6.0
"""Of the sizes around their mean."""

Grow = Callable[[random.Random, Node, int, int], int]
"""Gives a node its children, from so many agents and levels that are left; returns how many
agents it took."""


def grow_shape(chance: random.Random, complexity: float | None, most: int) -> Node:
    """A tree of at most `most` agents. `complexity` is 0 (one agent, or few) to 1 (about thirty,
    five levels deep); None draws it anew each time."""
    wanted = chance.uniform(0.1, 1.0) if complexity is None else complexity
    share = chance.betavariate(CONCENTRATION * wanted + 0.3, CONCENTRATION * (1 - wanted) + 0.3)
    size = max(1, min(most, 1 + round((MAX_AGENTS - 1) * share)))
    depth = 1 + min(MAX_DEPTH - 1, int(MAX_DEPTH * (0.5 * share + 0.5 * chance.random())))
    root = Node("solo", "single")
    if size == 1:
        return root
    left = size - 1 - _expand(chance, root, size - 1, depth)
    while left > 0:
        places = [
            (node, level)
            for node, level in _leaves(root, 0)
            if node.role in EXPANDABLE and level < depth
        ]
        if not places:
            break
        # The shallow ones first, mostly: else every tree is a chain with a tail.
        node, level = chance.choices(places, [1 / (1 + level) for _, level in places])[0]
        part = left if len(places) == 1 else max(1, round(left * chance.uniform(0.2, 0.8)))
        taken = _expand(chance, node, part, depth - level)
        if not taken:
            break
        left -= taken
    return root


EXPANDABLE = frozenset({"specialist", "stage", "debater", "executor", "mapper", "solver"})


def _leaves(node: Node, level: int) -> Sequence[tuple[Node, int]]:
    if not node.children:
        return [(node, level)]
    return [found for child in node.children for found in _leaves(child, level + 1)]


def _expand(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    """Makes a leaf the root of a topology that fits; returns how many agents that took."""
    fitting: list[tuple[Topology, float]] = [
        (topology, weight)
        for topology, (least, weight, _) in TOPOLOGIES.items()
        if agents >= least and levels >= 1
    ]
    if not fitting:
        return 0
    (chosen,) = chance.choices(range(len(fitting)), [weight for _, weight in fitting])
    topology = fitting[chosen][0]
    node.topology = topology
    if node.role == "solo":
        node.role = HEADS[topology]
    return TOPOLOGIES[topology][2](chance, node, agents, levels)


def _add(node: Node, *roles: tuple[Role, int]) -> int:
    """Children of each role, so many."""
    made = [Node(role) for role, count in roles for _ in range(count)]
    node.children += made
    return len(made)


def _between(chance: random.Random, least: int, most: int, agents: int) -> int:
    return chance.randint(least, max(least, min(most, agents)))


def _team(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    return _add(node, ("specialist", _between(chance, 2, 8, agents)))


def _pipeline(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    return _add(node, ("stage", _between(chance, 2, 6, agents)))


def _relay(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    """A chain: each agent hands on to the one below it."""
    length = _between(chance, 1, min(levels, 4), agents)
    for _ in range(length):
        child = Node("relay")
        node.children.append(child)
        node.topology = "relay"
        node = child
    return length


def _debate(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    debaters = _between(chance, 2, 4, agents - 1)
    return _add(node, ("debater", debaters), ("judge", 1))


def _planning(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    executors = _between(chance, 1, 4, agents - 2)
    return _add(node, ("planner", 1), ("executor", executors), ("critic", 1))


def _map_reduce(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    split = agents >= 4 and chance.random() < 0.5
    mappers = _between(chance, 1, 5, agents - 1 - split)
    return _add(node, ("splitter", int(split)), ("mapper", mappers), ("reducer", 1))


def _decomposition(chance: random.Random, node: Node, agents: int, levels: int) -> int:
    """Each level divides the problem; what is not divided any more is solved."""
    taken, open_ = 0, [(node, 0)]
    while open_ and agents - taken >= 2:
        place = 0 if chance.random() < 0.6 else chance.randrange(len(open_))
        parent, level = open_.pop(place)
        if level > 0:
            parent.role, parent.topology = "decomposer", "decomposition"
        parts = _between(chance, 2, 3, agents - taken)
        taken += _add(parent, ("solver", parts))
        if level + 1 < levels:
            open_ += [(child, level + 1) for child in parent.children]
        if taken >= 6 and chance.random() < 0.15:
            break
    return taken


TOPOLOGIES: dict[Topology, tuple[int, float, Grow]] = {
    "team": (2, 1.2, _team),
    "pipeline": (2, 1.0, _pipeline),
    "relay": (1, 0.5, _relay),
    "debate": (3, 1.0, _debate),
    "planning": (3, 1.0, _planning),
    "map-reduce": (2, 1.0, _map_reduce),
    "decomposition": (4, 1.2, _decomposition),
}
"""By name: the least number of agents below the root, how often, and how it is grown."""

HEADS: dict[Topology, Role] = {
    "single": "solo",
    "team": "manager",
    "pipeline": "coordinator",
    "relay": "relay",
    "debate": "moderator",
    "planning": "lead",
    "map-reduce": "dispatcher",
    "decomposition": "decomposer",
}
"""The role of a root. Below it, an agent keeps the role that it has for the one above."""
