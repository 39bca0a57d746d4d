"""Communities of a weighted graph: Louvain (Blondel et al. 2008), without chance.

Nodes are visited in their order and ties go to the community of the lowest number, so a graph has
one partition, in every process. A catalog has at most some thousands of tools; networkx would be a
large dependency for this one function.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

Links = Sequence[Mapping[int, float]]
"""For each node, its neighbours and the weight of the edge to each; symmetric."""


def louvain(links: Links, resolution: float = 1.0) -> list[int]:
    """The community of each node, numbered from 0 by first appearance.

    A higher resolution gives more and smaller communities (Reichardt and Bornholdt 2006).
    """
    graph: list[dict[int, float]] = [dict(each) for each in links]
    loops = [0.0] * len(graph)
    member = list(range(len(graph)))
    while True:
        moved, groups = _move(graph, loops, resolution)
        groups = _renumbered(groups)
        member = [groups[group] for group in member]
        if not moved or len(set(groups)) == len(graph):
            return _renumbered(member)
        graph, loops = _folded(graph, loops, groups)


def modularity(links: Links, groups: Sequence[int], resolution: float = 1.0) -> float:
    """Newman's Q of a partition; 0 for a graph without edges."""
    total = sum(sum(each.values()) for each in links)
    if not total:
        return 0.0
    inner: defaultdict[int, float] = defaultdict(float)
    degree: defaultdict[int, float] = defaultdict(float)
    for node, neighbours in enumerate(links):
        degree[groups[node]] += sum(neighbours.values())
        for other, weight in neighbours.items():
            if groups[other] == groups[node]:
                inner[groups[node]] += weight
    return sum(inner[group] / total - resolution * (degree[group] / total) ** 2 for group in degree)


def _move(
    graph: list[dict[int, float]], loops: list[float], resolution: float
) -> tuple[bool, list[int]]:
    """Each node to the neighbouring community that gains most, until none gains."""
    groups = list(range(len(graph)))
    degrees = [sum(each.values()) + 2 * loop for each, loop in zip(graph, loops, strict=True)]
    totals = list(degrees)
    twice = sum(degrees)
    if not twice:
        return False, groups
    moved, again = False, True
    while again:
        again = False
        for node, neighbours in enumerate(graph):
            home, degree = groups[node], degrees[node]
            near: defaultdict[int, float] = defaultdict(float)
            for other, weight in neighbours.items():
                near[groups[other]] += weight
            totals[home] -= degree
            scale = resolution * degree / twice
            chosen, most = home, near[home] - scale * totals[home]
            for group in sorted(near):
                gain = near[group] - scale * totals[group]
                if gain > most + 1e-12:
                    chosen, most = group, gain
            totals[chosen] += degree
            if chosen != home:
                groups[node] = chosen
                moved = again = True
    return moved, groups


def _folded(
    graph: list[dict[int, float]], loops: list[float], groups: list[int]
) -> tuple[list[dict[int, float]], list[float]]:
    """Communities as nodes; what lies inside one becomes its loop."""
    count = max(groups) + 1
    made: list[defaultdict[int, float]] = [defaultdict(float) for _ in range(count)]
    inside = [0.0] * count
    for node, neighbours in enumerate(graph):
        group = groups[node]
        inside[group] += loops[node]
        for other, weight in neighbours.items():
            if groups[other] == group:
                inside[group] += weight / 2
            else:
                made[group][groups[other]] += weight
    return [dict(each) for each in made], inside


def _renumbered(groups: Sequence[int]) -> list[int]:
    numbers: dict[int, int] = {}
    return [numbers.setdefault(group, len(numbers)) for group in groups]
