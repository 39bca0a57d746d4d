"""One candidate: a pure function of the catalog, the specification, the options and its number."""

import random
from collections import defaultdict

from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import Backoff, Supervision
from nexau.synth.agents.allotment import allot, choose_tools, distract
from nexau.synth.agents.catalog import Catalog
from nexau.synth.agents.hierarchy import WORKERS, Hierarchy, Node
from nexau.synth.agents.matching import Embedder, Matcher
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.topologies import MAX_AGENTS, grow_shape
from nexau.synth.agents.writing import write_texts
from nexau.synth.streams import stream
from nexau.transports.protocol import Limits


class Options(Struct, frozen=True):
    """What shapes all candidates of a run."""

    specification: str
    seed: int = 0
    complexity: float | None = None
    """0 to 1; None varies it."""
    distractors: float = 0.2
    """Tools that an agent should not need, as a share of those it should."""
    most: int = MAX_AGENTS
    """Agents in one hierarchy."""


class Maker:
    """Makes candidates; what they have in common is worked out once."""

    def __init__(
        self,
        catalog: Catalog,
        options: Options,
        *,
        embedder: Embedder | None = None,
        ranked: list[int] | None = None,
    ) -> None:
        self.options = options
        self.graph = ToolGraph(catalog.tools)
        if ranked is None:
            matcher = Matcher(self.graph.facts, embedder)
            ranked = [match.tool for match in matcher.rank(options.specification)]
        self.ranked = ranked
        """Places in the catalog, the most wanted first."""

    def make(self, index: int) -> Hierarchy:
        """The same for the same number, whatever was made before."""
        options, graph = self.options, self.graph
        chance = stream(options.seed, "agents", options.specification, index)
        most = min(options.most, 2 + 2 * len(graph))
        root = grow_shape(chance, options.complexity, most)
        tools = choose_tools(chance, graph, self.ranked, root.size())
        allot(chance, root, graph, tools)
        distract(chance, root, graph, self.ranked, options.distractors)
        servers = sorted({graph.facts[place].tool.server for node in root.walk()
                          for place in (*node.tools, *node.distractors)})  # fmt: skip
        hierarchy = Hierarchy(index, root, servers, _supervision(chance), _prefixed(root, graph))
        write_texts(chance, hierarchy, graph, options.specification)
        _limit(chance, root)
        return hierarchy


def _supervision(chance: random.Random) -> Supervision:
    shortest = chance.choice((0.05, 0.1, 0.2, 0.5))
    return Supervision(
        restart=chance.choice(("permanent", "permanent", "transient")),
        intensity=chance.randint(3, 10),
        period=float(chance.choice((10, 30, 60, 120))),
        backoff=Backoff(shortest, shortest * chance.choice((20, 50, 100)), 0.5),
    )


def _prefixed(root: Node, graph: ToolGraph) -> list[str]:
    """Servers of which a tool has the name of another server's in this hierarchy."""
    servers: defaultdict[str, set[str]] = defaultdict(set)
    for node in root.walk():
        for place in (*node.tools, *node.distractors):
            tool = graph.facts[place].tool
            servers[tool.name].add(tool.server)
    return sorted({name for each in servers.values() if len(each) > 1 for name in each})


def _limit(chance: random.Random, root: Node) -> None:
    """Steps for the agent's own calls, twice over, and for all below it; time by steps."""
    _steps(chance, root)
    for node in root.walk():
        steps = node.limits.steps or 1
        if node is root:
            limits = Limits(
                steps=steps,
                seconds=float(max(60, 10 * round(steps * chance.uniform(1.0, 2.5)))),
                depth=root.depth(),
                tokens=chance.choice((None, 1000 * steps * chance.randint(4, 12))),
            )
        else:
            limits = Limits(steps=steps)
        if node.topology == "map-reduce":
            limits = replace(limits, parallel_calls=chance.choice((4, 8, 16)))
        node.limits = limits


def _steps(chance: random.Random, node: Node) -> int:
    own = 2 + round((len(node.tools) + len(node.children)) * chance.uniform(1.5, 3.0))
    if node.role in WORKERS and not node.tools:
        own += 1
    below = sum(_steps(chance, child) for child in node.children)
    again = chance.choice((1.0, 1.5, 2.0)) if node.children else 1.0
    node.limits = Limits(steps=own + round(below * again))
    return node.limits.steps or 1
